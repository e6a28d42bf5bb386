"""Programs and words that tell what a value is used for. Facts, not code: extend them."""

from __future__ import annotations

import re

from crossdock.read.shell_model import FETCHERS

TEXT_TOOLS = frozenset(
    "echo printf sed grep egrep fgrep awk test [ true false : expr case cat tr cut wc sort uniq head tail read xargs "
    "basename dirname set unset shift return exit uname arch dpkg-architecture apk-print which type command date "
    "git-config help history".split()
)
"""Programs whose words are text to them, not files."""
FILE_READERS = frozenset("sed awk grep egrep cat head tail cut tr".split())
"""Text tools that also take the names of files."""
FILE_TOOLS = frozenset(
    "tar unzip mv cp ln rm chmod chown mkdir cd ls install gunzip gzip xz unxz bunzip2 zcat file strip upx ar bsdtar "
    "sha256sum sha512sum sha1sum md5sum shasum gpg gpgv pushd popd find touch stat du test jar 7z 7za rmdir source . "
    "openssl cosign minisign update-alternatives unlink realpath readlink dirname rsync patch".split()
)
"""Programs that handle files by name. A file that is named for amd64 was brought by something else: that is the
sink."""
PATH_USERS = frozenset(
    "tar unzip mv cp ln cd install pushd source . rsync ldconfig chmod update-alternatives alternatives "
    "conda-lock conda mamba micromamba pip pip3".split()
)
"""Programs that fail, or take a thing for amd64, when a path that is named for amd64 is not there."""
BRINGERS = FETCHERS | frozenset("mkdir ln git svn hg dpkg rpm tee install".split())
"""Programs that bring files or folders under the names they are told."""
NAMED_FOLDER = re.compile(r"(?:^|[\s=:'\"])(?:[/~]|\$\w|\$\{)[\w./~${}()-]*64")
"""A path with something that may be an architecture's name; more than words that happen to be written."""
FOREIGN_PATH = re.compile(r"(?:amd64|x86[-_]64)[-_](?:elf|efi|w64|uefi|none)|mingw|android-\d|arch-x86", re.IGNORECASE)
"""Paths of what is built for bare metal, firmware, Windows or phones, on any machine."""
INSTALLERS = frozenset(
    "dpkg apt apt-get aptitude gdebi alien rpm yum dnf microdnf tdnf zypper apk pip pip3 pipx conda mamba "
    "pacman opkg".split()
)
MANAGERS = frozenset(
    "apt apt-get aptitude yum dnf microdnf tdnf zypper apk pacman conda mamba micromamba "
    "install_packages install-packages clean-install apt-install apk-install".split()
)
"""Installers that take the names of packages."""
PACKAGE_FILE = re.compile(r"\.(?:deb|rpm|apk|whl|pkg\.tar\.\w+|conda)(?:[?#].*)?$")
FILE_OF_PROGRAMS = re.compile(rf"{PACKAGE_FILE.pattern}|\.(?:zip|tar\.\w+|tgz|txz|tbz2?|run)$")
"""Packages and archives."""
TEXT_FILE = re.compile(
    r"\.(?:txt|md|json|ya?ml|toml|conf|cfg|ini|list|patch|diff|xml|config|repo|cmake|rules|service|asc|gpg|key|s|S|c|h|cc|cpp|go|rs|py)$"
)
DATA_FILE = re.compile(
    r"/(?![^/]*(?i:sum|sha\d|md5|digest))[^/]*\.(?:jks|p12|pem|crt|cer|json|txt|xml|ya?ml|md|html?|properties|conf|cfg|ini|csv|jar|war|ear)$"
)
"""Files that hold no programs for one architecture, whatever the folder is called; not those of checksums, which go
with the files that they are of."""
KEY = re.compile(
    r"(?:(?:KEY|key|Key)(?![\w.-]*\.(?:deb|rpm|apk|zip|tgz|gz|bz2|xz|zst|run|sh|AppImage)$)[\w.-]*|\.(?:gpg|key|pub))$"
)
"""Files that are the same for every architecture, whatever the path they are offered under."""
SELECTORS = frozenset("grep egrep fgrep jq awk gawk sed python python3 node perl".split())
COMPILERS = re.compile(
    r"(?:.*-)?(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|gfortran|nvcc|cmake|make|configure|Configure|config|meson|bear|ninja|scons|qmake|b2|bjam|cpp|ld)(?:-[\d.]+)?$"
)
FLAG = re.compile(
    r"(?<![\w-])(?:-{1,2}enable)?-m(?:64|32|sse[\w.]*|avx[\w.]*|mmx|3dnow|fpmath=(?:sse|387)\w*|popcnt|aes|pclmul|bmi2?|fma|f16c"
    r"|(?:arch|tune|cpu)=(?:x86-64\S*|core\w*|nehalem|westmere|sandybridge|ivybridge|haswell|broadwell|skylake\S*"
    r"|icelake\S*|cascadelake|znver\d|k8|opteron\S*|athlon\S*|i[3-6]86|pentium\S*|atom|bonnell|silvermont|nocona|corei7\S*))(?![\w.])"
    r"|(?<![\w-])target-cpu=(?:x86-64\S*|nehalem|westmere|sandybridge|ivybridge|haswell|broadwell|skylake\S*|znver\d)"
)
FLAG_VARIABLES = re.compile(
    r"(?:.*_)?(?:CC|CXX|CFLAGS|CXXFLAGS|CPPFLAGS|LDFLAGS|FFLAGS|GOAMD64|CGO_CFLAGS|CGO_CXXFLAGS|NVCC_FLAGS|COPT|RUSTFLAGS)"
)
READ_VARIABLES = frozenset(
    "ARCH TARGET_ARCH HOST_ARCH BUILD_ARCH KARCH SUBARCH CROSS_COMPILE MACHINE PLATFORM CONDA_SUBDIR DEB_BUILD_ARCH "
    "DEB_HOST_ARCH GOHOSTARCH CARGO_BUILD_TARGET RUNTIME_IDENTIFIER VCPKG_DEFAULT_TRIPLET npm_config_arch "
    "npm_config_target_arch DOCKER_DEFAULT_PLATFORM PROCESSOR_ARCHITECTURE _PYTHON_HOST_PLATFORM".split()
)
"""Variables that build tools read from their environment: make and its built-in rules and the makefiles of kernels,
Debian's and Yocto's tools, conda, Go, Cargo, .NET, vcpkg, npm, Docker, Python."""
FOREIGN = re.compile(
    r"(?:^|(?<=[\w.+-]):)(?:i386|amd64)(?:=\S+)?$|^(?:lib32[\w.+-]+|lib[nx]?32gcc\S*|gcc(?:-[\d.]+)?-multilib|g\+\+(?:-[\d.]+)?-multilib"
    r"|libc6-i386|libc6-dev-i386|ia32-libs\S*|[\w.+-]+\.(?:i[36]86|x86_64)|wine32\S*|\w+_linux-64|(?!crossbuild-)[a-z][\w.+-]*-amd64(?!-cross)(?:-\w+)*)(?:=\S+)?$"
)
REMOVES = frozenset("remove purge erase autoremove".split())
"""What package managers are told to take a package away."""
NOARCH = re.compile(r"[._-]noarch\.rpm$|\.src\.rpm$")
"""Package files that say themselves that they are for every architecture, whatever folder they are offered in."""
APT_ARCH = re.compile(r"\[[^\]]*arch=[^\]]*?\]|^Architectures:.*$", re.MULTILINE)
SOURCE_LINE = re.compile(r"\s*(?:deb(?:-src)?\s|baseurl\s*=)")
"""How the lines of apt's and yum's sources begin."""
SOURCE_ARCH = re.compile(rf"{APT_ARCH.pattern}|(?:https?|ftp)://\S+|\S*/binary-\S+", re.MULTILINE)
"""Where a package source says for which architecture it is: the restriction, and the address."""
ARCH_OPTION = re.compile(
    r"(?:^|.*[-/_.:])(?:arch|platform|target|architecture|runtime|rid|cpu|os-?arch|goarch|abi|machine)[-_]?\w*$",
    re.IGNORECASE,
)
BUILDERS = frozenset(
    "go make just task mage goreleaser gox garble xgo ko cmake ninja meson npm yarn pnpm npx cargo gradle gradlew mvn "
    "bazel bazelisk dotnet python python3 sh bash ash configure build.sh".split()
)
TASK_RUNNERS = frozenset("make just task mage bazel bazelisk gradle gradlew mvn npm yarn npx".split())
"""Programs whose words are the names of things to build."""
TEXT_OPTIONS = frozenset("-H -A --header --user-agent -e --referer -d --data -U".split())
"""Options of fetchers that take any text."""
OUTPUT_OPTIONS = frozenset("-o -O --output --output-document -P --output-dir".split())
"""Options of fetchers that take the name of a local file."""
SHELLS = frozenset("sh bash ash dash zsh eval".split())
