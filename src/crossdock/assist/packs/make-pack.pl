# Makes a pack from Debian packages: fetches them, copies programs with their libraries, and writes the map.
#
# make-pack.pl RECIPE RESULT. The recipe is written by crossdock (assist/packs.py), a word of command and its arguments
# on each line. The pack will be seen at /.crossdock, so the paths in its files are exchanged for ones below that, of
# the same length or shorter. This runs on the build platform, in a stage that is thrown away, in the sibling of the
# image that is built. Only what perl-base has is used.
use strict;
use warnings;

my ($recipe, $result) = @ARGV;
my (%one, @fetch, @programs, @paths, @trees, @gives, @keep, @link, @emulated, @rules, @renames, @as, @compilers, @checks,
    @remakes);
open my $lines, '<', $recipe or die "$recipe: $!";
while (<$lines>) {
    chomp;
    my ($command, @words) = split / /;
    if    ($command eq 'fetch')    { push @fetch, @words }
    elsif ($command eq 'programs') { push @programs, map { glob_of($_) } @words }
    elsif ($command eq 'paths')    { push @paths, @words }
    elsif ($command eq 'trees')    { push @trees, @words }
    elsif ($command eq 'gives')    { push @gives, @words }
    elsif ($command eq 'keep')     { push @keep, @words }
    elsif ($command eq 'link')     { push @link, [@words] }
    elsif ($command eq 'emulated') { push @emulated, map { glob_of($_) } @words }
    elsif ($command eq 'rule')     { push @rules, [glob_of(shift @words), "@words"] }
    elsif ($command eq 'rename')   { push @renames, [glob_of(shift @words), @words] }
    elsif ($command eq 'as')       { push @as, [@words] }
    elsif ($command eq 'check')    { push @checks, [glob_of(shift @words), @words] }
    elsif ($command eq 'remake')   { push @remakes, [@words] }
    elsif ($command eq 'compiler') { push @compilers, map { glob_of($_) } @words }
    else                           { $one{$command} = $words[0] }    # triplet, loader, target, machine
}

my $triplet = $one{triplet};                        # of this machine: x86_64-linux-gnu
my ($cpu) = split /-/, $triplet;
my $libraries = "/usr/lib/$triplet";
my %moved = ($libraries => "/.crossdock/$cpu-native", "/lib/$triplet" => "/.crossdock/${cpu}lib");
my $loader = '/.crossdock/ld.so';

my (%seen, %done, @map, %copied);
fetch_packages();
for my $package (installed()) {
    next unless grep { $package =~ $_ } @programs;
    for my $path (files_of($package)) {
        next if $done{$path}++ || grep { $path =~ $_ } @emulated;
        next unless -f $path && -x _ && !-l $path && !(-u _ || -g _) && has_loader($path);
        copy($path, "/root$path", $package);
        add($path);
    }
}
my %once;
@trees = grep { -d && !$once{$_}++ } map { real_file($_) } map { sort(glob $_) } @trees;
for my $path (map { real_file($_) } map { sort(glob $_) } @paths) {
    next if $done{$path}++ || grep { $path =~ $_ } @emulated;
    next unless -f $path && -x _ && !(-u _ || -g _) && is_native($path);
    copy($path, "/root$path", '');
    add($path);
}
copy_tree($_) for @trees;
copy_as(beside($_), "/$_", '') for @gives;
for (@remakes) {
    # The new one is at another place, so that it does not find the pack's part of the tree where it looks for its own.
    my ($pattern, $script, @arguments) = @$_;
    for my $path (map { real_file($_) } sort(glob $pattern)) {
        my $at = "/.crossdock/root$path";
        next unless grep { (split / /)[1] eq $at } @map;
        make_folders("/remade$path");
        my $made = system('perl', beside($script), @arguments, $path, "$result/remade$path") == 0;
        print "crossdock-assist: $path could not be made anew, so it stays emulated\n" unless $made;
        @map = map { (split / /)[1] ne $at ? $_ : $made ? s{ \Q$at\E}{ /.crossdock/remade$path}r : () } @map;
        unlink "$result/root$path";
    }
}
for my $pattern (@keep) {
    for my $path (sort(glob $pattern)) {
        keep_tree($path);
    }
}
copy_as(real($one{loader}), '/ld.so', 'loader');
copy_as(beside($one{machine}), '/machine.so', '');
write_file("$result/loaded", "/.crossdock/machine.so\n");
symlink "$cpu-native", "$result/${cpu}lib" or die "${cpu}lib: $!";
for (@link) {
    my ($name, $pattern) = @$_;
    my ($target) = sort(glob $pattern) or next;
    copy_as($target, $name, '');
}
list_libraries();
for (@checks) {
    # What does not say what it has to say is left out, and so runs emulated.
    my ($glob, $wanted, $program, @arguments) = @$_;
    next unless -e "$result/root$program";
    my $said = qx($result/root$program @arguments 2>&1);
    next if $said =~ /\b\Q$wanted\E\b/;
    print "crossdock-assist: $program says nothing of $wanted, so it stays emulated\n";
    @map = grep { (split / /)[0] !~ $glob } @map;
}
open my $map, '>', "$result/map.new" or die "map: $!";
print $map "crossdock-assist 1\n", map { "$_\n" } sort @map;
close $map or die "map: $!";
system('chmod', '-R', 'a+rX,go-w', $result) == 0 or die 'chmod';
rename "$result/map.new", "$result/map" or die "map: $!";
my %native = map { (split / /)[1] => 1 } @map;
printf "crossdock-assist: %d programs of this stage run natively\n", scalar keys %native;

# A shell pattern as a regular expression; * goes beyond slashes.
sub glob_of {
    my %special = ('*' => '.*', '?' => '.', '{' => '(?:', ',' => '|', '}' => ')');
    my $pattern = join '', map { $special{$_} // quotemeta } split //, shift;
    return qr/^$pattern\z/;
}

# Download what is not installed, with all it needs, and unpack it without running anything of it.
sub fetch_packages {
    return unless @fetch;
    my $folder = '/tmp/crossdock-packages';
    mkdir $folder;
    mkdir "$folder/partial";
    my @quiet = ('-q', '-o', 'Dpkg::Use-Pty=0', '-o', 'APT::Sandbox::User=root');
    system('apt-get', @quiet, 'update') == 0 or die "apt-get update failed\n";
    my %known = map { (split)[0] => 1 } qx(apt-cache pkgnames);
    my @there = grep { $known{$_} } @fetch;
    print "crossdock-assist: this release has no $_\n" for grep { !$known{$_} } @fetch;
    system('apt-get', @quiet, 'install', '-y', '--no-install-recommends', '--download-only', '-o',
        "Dir::Cache::archives=$folder", @there) == 0 or die "apt-get install failed\n";
    for my $deb (sort(glob "$folder/*.deb")) {
        my ($package) = $deb =~ m{/([^/_]+)_[^/]*\z};
        $seen{$package} = [map { m{^\S+ \S+ +\d+ \S+ \S+ \.(/.*?)(?: -> .*)?\n} ? $1 : () } qx(dpkg-deb -c $deb)];
        system("dpkg-deb --fsys-tarfile $deb | tar -x --keep-directory-symlink -C /") == 0 or die "$deb\n";
        unlink $deb;
    }
}

# The packages whose files are here, those fetched first.
sub installed {
    my %all = map { $_ => 1 } keys %seen, map { (split)[0] =~ s/:.*//r } qx(dpkg-query -W -f '\${Package}\\n');
    return sort keys %all;
}

# The real paths of a package's files.
sub files_of {
    my $package = shift;
    my @paths = $seen{$package} ? @{ $seen{$package} } : map { chomp; $_ } qx(dpkg-query -L $package 2>/dev/null);
    return map { real($_) } grep { -f $_ && !-l $_ } @paths;
}

# A path with its folders' links followed.
sub real {
    my $path = shift;
    my ($folder, $name) = $path =~ m{^(.*)/([^/]*)\z} or return $path;
    our %folders;
    $folders{$folder} //= do { my $found = qx(readlink -f '$folder/.'); chomp $found; $found };
    return ($folders{$folder} eq '/' ? '' : $folders{$folder}) . "/$name";
}

sub content {
    my $path = shift;
    open my $file, '<:raw', $path or die "$path: $!";
    local $/;
    return scalar <$file>;
}

# A file of ours, which all are in the recipe's folder.
sub beside {
    return ($recipe =~ s{[^/]*\z}{}r) . $_[0];
}

# A path with all its links followed.
sub real_file {
    my $found = qx(readlink -f '$_[0]');
    chomp $found;
    return $found;
}

# Say in the map that a program which is in the pack stands in for the foreign one, once for each rule about it.
sub add {
    my $path = shift;
    (my $foreign = $path) =~ s{/gcc-cross/}{/gcc/};
    $foreign =~ s/\Q$_->[0]\E/$_->[1]/g for @as;
    # A system before the merge of /bin and /usr/bin calls it by its other name.
    my @names = $foreign =~ m{^/usr/((?:s?bin)/.*)} ? ($foreign, "/$1") : ($foreign);
    my @words = map { $_->[1] } grep { $path =~ $_->[0] } @rules;
    for my $name (@names) {
        for my $words (@words ? @words : '') {
            my $said = words_for($words, $path, $name) // next;
            push @map, "$name /.crossdock/root$path$said";
        }
    }
}

# The words of a rule as the launcher reads them, for a program by its path here and in the image; none when a file does
# not say what has to be the same.
sub words_for {
    my ($words, $path, $name) = @_;
    my ($own, $home) = map { m{^(.*)/[^/]*/[^/]*\z} ? $1 : '' } $path, $name;
    my $said = '';
    for (split / /, $words) {
        if (my ($file, $start) = /^same-line=([^:]*):(.*)/) {
            my ($line) = -f "$own/$file" ? content("$own/$file") =~ /^(\Q$start\E\S*)$/m : ();
            $_ = 'if-file=%home/' . "$file:" . ($line // return undef);
        }
        # The file of the nearest folder above the program that has it.
        s{^same-file=\K(.*)}{kept_above($path, $1)}e;
        s/%home/$home/g;
        $said .= " $_";
    }
    return $said;
}

# The path of a file that is in a folder above another one; it is put into the pack.
sub kept_above {
    my ($folder, $name) = @_;
    while ($folder =~ s{/[^/]*\z}{} && !-f "$folder/$name") { }
    my $file = real_file("$folder/$name");
    copy($file, "/root$file", '') if -f $file;
    return $file;
}

# Whether it is a program or library of this machine.
sub is_native {
    my $path = shift;
    open my $file, '<:raw', $path or return 0;
    read $file, my $head, 20 or return 0;
    our $own //= do { open my $perl, '<:raw', $^X or die "$^X: $!"; read $perl, my $first, 20; substr $first, 18, 2 };
    return $head =~ /^\x7fELF\x02/ && substr($head, 18, 2) eq $own;
}

# Whether a 64-bit ELF file is for a loader, or is one: it has a segment PT_DYNAMIC or PT_INTERP. In a static one paths
# are only text that the program works with, such as the loaders that a linker knows.
sub is_dynamic {
    my $data = shift;
    my ($table, $size, $count) = (unpack('x32 Q<', $$data), unpack 'x54 v2', $$data);
    return grep { $_ == 2 || $_ == 3 } map { unpack 'V', substr $$data, $table + $_ * $size, 4 } 0 .. $count - 1;
}

# Whether it is a program of this machine that a loader starts.
sub has_loader {
    my $path = shift;
    open my $file, '<:raw', $path or return 0;
    read $file, my $head, 4096 or return 0;
    return $head =~ /^\x7fELF\x02/ && index($head, "$one{loader}\0") > 0;
}

# Where libraries are, as ldconfig(8) writes it; without it the loader would try some 40 places for each program.
sub list_libraries {
    my $root = '/tmp/crossdock-libraries';
    mkdir $_ for $root, "$root/etc", "$root$result";
    write_file("$root/etc/ld.so.conf", "$result/$cpu-native\n");
    system("cp -al $result/$cpu-native $root$result/ && ldconfig -r $root -X -C /etc/libs 2>/dev/null") == 0
        and copy_as("$root/etc/libs", '/libs', '');
    system('rm', '-r', $root);
}

# Copy a program or library to where the pack has it, and the libraries that it needs.
sub copy {
    my ($from, $to, $package) = @_;
    return if $copied{$to}++;
    copy_as($from, $to, $package);
    for (qx($one{loader} --list '$from' 2>/dev/null)) {
        my ($path) = m{=> (/\S+)} or next;
        my ($name) = $path =~ m{([^/]+)\z};
        next if $copied{"/$cpu-native/$name"};
        $path = real_file($path);
        next if grep { index($path, "$_/") == 0 } @trees;
        copy($path, "/$cpu-native/$name", owner($path));
    }
}

# The package of a file, for files whose package matters.
sub owner {
    my $path = shift;
    our %owners;
    unless (%owners) {
        for my $package (grep { my $name = $_; grep { $name =~ $_ } @compilers, map { $_->[0] } @renames } installed()) {
            $owners{$_} = $package for files_of($package);
        }
        $owners{''} = '';
    }
    return $owners{$path} // '';
}

sub copy_as {
    my ($from, $to, $package) = @_;
    make_folders($to);
    my $data = content($from);
    exchange(\$data, $package, $from) if $data =~ /^\x7fELF\x02/ && is_dynamic(\$data);
    write_file("$result$to", $data);
    chmod 0755, "$result$to";
}

sub write_file {
    my ($to, $data) = @_;
    open my $file, '>:raw', $to or die "$to: $!";
    print $file $data;
    close $file or die "$to: $!";
}

# The folders above a place in the pack.
sub make_folders {
    my $to = shift;
    for (my $at = length $result; ($at = index "$result$to", '/', $at + 1) > 0;) {
        mkdir substr "$result$to", 0, $at;
    }
}

# A folder or file of the system's libraries, at the place in the pack that its path is exchanged for.
sub keep_tree {
    my $path = real(shift);
    if (-d $path) {
        opendir my $folder, $path or die "$path: $!";
        keep_tree("$path/$_") for grep { !/^\.\.?\z/ } sort(readdir $folder);
    }
    elsif (-f $path && $path =~ m{^\Q$libraries\E(/.*)}) {
        my $to = "/$cpu-native$1";
        $path =~ /\.so[.0-9]*\z/ ? copy($path, $to, '') : copy_as($path, $to, '');
    }
}

# A whole folder, below /root. What its links lead to outside of it is the image's own.
sub copy_tree {
    my $path = shift;
    if (-l $path) {
        my $to = readlink $path;
        my $real = real_file($path);
        $to = $real unless $to =~ m{^/} || grep { index($real, "$_/") == 0 } @trees;
        symlink $to, "$result/root$path";
    }
    elsif (-d $path) {
        make_folders("/root$path/.");
        opendir my $folder, $path or die "$path: $!";
        copy_tree("$path/$_") for grep { !/^\.\.?\z/ } sort(readdir $folder);
    }
    elsif (-f $path) {
        is_native($path) ? copy($path, "/root$path", '') : copy_as($path, "/root$path", '');
    }
}

# Exchange paths in a file for those below /.crossdock.
sub exchange {
    my ($data, $package, $path) = @_;
    my ($name) = $path =~ m{([^/]+)\z};
    for my $from (sort { length $b <=> length $a } keys %moved) {
        length $from == length $moved{$from} or die "$from and $moved{$from} differ in length";
        $$data =~ s/\Q$from\E(?=[\/:\0])/$moved{$from}/g;
    }
    my $interpreter = $loader . "\0" x (length($one{loader}) - length $loader);
    $$data =~ s/\Q$one{loader}\E\0/$interpreter\0/g;
    if ($package eq 'loader') {
        $$data =~ s{/etc/ld\.so\.cache\0}{/.crossdock/libs\0}g;
        # The image's own list names libraries of the foreign architecture; ours names what tells the target's machine.
        $$data =~ s{/etc/ld\.so\.preload\0}{/.crossdock/loaded\0}g;
    }
    if (grep { $package =~ $_ } @compilers) {
        my $target = quotemeta $one{target};
        each_string($data, '/usr/lib/gcc-cross/', sub {
            # Debian has no include-fixed, and leaves /usr/local/include, whose place is there, out of cross compilers.
            s{^.*/include-fixed\z}{/usr/local/include};
            # The headers of C++, by the names that the native compiler has for them in the end.
            s{^.*/\.\./$target/include/c\+\+/([^/]+)/$target\z}{/usr/include/$one{target}/c++/$1};
            s{^.*/\.\./$target/include/c\+\+/}{/usr/include/c++/};
        });
        each_string($data, '/gcc-cross/', sub { s{^/gcc-cross/}{/gcc/} });
    }
    for (@renames) {
        my ($glob, $from, $to) = @$_;
        each_string($data, $from, sub { s/^\Q$from\E/$to/ }) if grep { $_ =~ $glob } $package, $name;
    }
}

# Change what begins with a text and ends with a null; what is shorter then has more nulls at its end.
sub each_string {
    my ($data, $start, $change) = @_;
    my $at = 0;
    while (($at = index $$data, $start, $at) >= 0) {
        my $end = index $$data, "\0", $at;
        last if $end < 0;
        local $_ = substr $$data, $at, $end - $at;
        $change->();
        my $less = $end - $at - length;
        die "$_ has become too long" if $less < 0;
        substr $$data, $at, $end - $at, $_ . "\0" x $less;
        $at += length($_) || 1;
    }
}
