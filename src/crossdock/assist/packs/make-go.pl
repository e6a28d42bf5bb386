# Builds Go's own go command anew, for this machine, but as the one of another: make-go.pl ARCHITECTURE PROGRAM RESULT
#
# PROGRAM is the go command of a Go tree that has its sources. It asks the constant runtime.GOARCH what machine it is
# of: for the default GOARCH, its folder of tools, where `go install` puts programs, whether cgo is on, `go version`
# and `go env`. The constant is exchanged where the go command and what it is made of ask, and not in the runtime, for
# which it has to be true. The sources are changed where they are: this stage is thrown away. Only what perl-base has
# is used.
use strict;
use warnings;

my ($architecture, $program, $result) = @ARGV;
my ($root) = $program =~ m{^(.+)/bin/go\z} or die "$program: not in a Go tree\n";
-d "$root/src/cmd/go" or die "$root has no sources of the go command\n";

my $changed = 0;
change_folder("$root/src/$_") for 'cmd/go', 'cmd/internal', 'go/build', 'internal/buildcfg', 'internal/platform',
    'cmd/vendor/golang.org/x/telemetry';
$changed or die "the go command below $root does not ask for runtime.GOARCH\n";

# Nothing of the image's settings, no network, no C.
%ENV = (
    PATH => '/usr/bin:/bin', HOME => '/tmp', GOCACHE => '/tmp/crossdock-go', GOENV => 'off', GOTOOLCHAIN => 'local',
    GOPROXY => 'off', CGO_ENABLED => '0',
);
chdir "$root/src" or die "$root/src: $!\n";
my $done = system $program, 'build', '-ldflags=-s -w', '-o', $result, 'cmd/go';
system 'rm', '-rf', $ENV{GOCACHE};
exit 1 unless $done == 0;
chomp(my $said = qx(GOROOT='$root' '$result' env GOHOSTARCH));
$said eq $architecture or die "the new go command says that its machine is $said\n";

sub change_folder {
    my $folder = shift;
    opendir my $list, $folder or return;
    for my $path (map { "$folder/$_" } grep { !/^\./ && $_ ne 'testdata' } readdir $list) {
        if    (-d $path)                              { change_folder($path) }
        elsif ($path =~ /\.go\z/ && $path !~ /_test\.go\z/) { change_file($path) }
    }
}

sub change_file {
    my $path = shift;
    open my $file, '<:raw', $path or die "$path: $!\n";
    my $text = do { local $/; <$file> };
    my $comment = qr{//[^\n]* | /\*.*?\*/}sx;
    my $string  = qr{`[^`]*` | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'}sx;
    my $found = 0;
    $text =~ s{($comment|$string)|\bruntime\.GOARCH\b}{$1 // do { $found++; qq{string("$architecture")} }}ge;
    return unless $found;
    $changed++;
    # Go wants an import to be used.
    open $file, '>:raw', $path or die "$path: $!\n";
    print $file $text, "\nconst _ = runtime.GOOS\n";
    close $file or die "$path: $!\n";
}
