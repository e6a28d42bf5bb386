/* The launcher: code that runs before QEMU's own entry point and starts a native program instead where a pack says so.

   It is joined to a static QEMU (assist/emulator.py) and registered as the kernel's interpreter for foreign programs.
   Where it does not apply it returns with nothing changed, and QEMU begins as if it had been started by itself: same
   stack, same auxiliary vector, same open files. So whatever holds for QEMU holds for every other container on the
   machine: flags, setuid, static programs, chroot, a missing /proc.

   It applies when all of this is so:
   - /.crossdock/map can be read, which is where the pack of an assisted build is mounted;
   - the program has no more rights than who starts it (AT_SECURE), so that nobody gains rights by a pack;
   - nothing is to be preloaded (LD_PRELOAD), as such libraries are of the foreign architecture;
   - the map has a line for the program's real path, which the kernel tells for the open file. Of several lines, the
     first one whose words allow it counts.

   A line of the map:
     PATH NATIVE [unless-env=NAME | unless-env=NAME=TEXT | unless-arg=TEXT | if-arg=TEXT | if-args=TEXT,TEXT... |
                  if-file=FILE:TEXT | same-file=PATH | first-arg=TEXT | add-arg=TEXT | set-env=NAME=VALUE]...
   if-arg, if-args: one of them must be among the arguments, or be what they begin with, an argument for each TEXT. A * in
   what arguments and variables are compared with stands for anything.
   if-file: the text must be somewhere in the first 4096 bytes of the file.
   same-file: a short text must be the same here and in the pack, such as the version of what the program belongs to.
   first-arg, add-arg: put before and after the arguments.
   set-env: added to the environment where there is no variable of that name; what the program starts inherits it.

   No libc, no writable data, position independent: see assist/compile.py. */

#include <stddef.h>

#define MAP "/.crossdock/map"
#define FIRST_LINE "crossdock-assist 1\n"
#define LONGEST_MAP 131072
#define ROOT "/.crossdock/root"
#define LONGEST_PATH 4096
#define LONGEST_TEXT 4096
#define MOST_ADDED 8

#define AT_NULL 0
#define AT_EXECFD 2
#define AT_SECURE 23
#define AT_FDCWD -100
#define O_RDONLY 0
#define O_CLOEXEC 02000000
#define O_PATH 010000000
#define F_SETFD 2
#define FD_CLOEXEC 1

/* Filled in when it is joined to QEMU: how far QEMU's entry point is from the launcher's, and whether the kernel passes
   the original argv[0] (flag P of binfmt_misc), and whether this QEMU has to be told to authenticate pointers cheaply.
   The marker is how the place is found. `launch` returns the stack that QEMU is to begin with, which is the one given
   or begins two words below it. */
__asm__(".section .text.start, \"ax\"\n"
        ".globl _start\n"
        "_start:\n"
#if defined(__x86_64__)
        "  mov %rsp, %rdi\n"
        "  sub $32, %rsp\n"
        "  and $-16, %rsp\n"
        "  call launch\n"
        "  mov %rax, %rsp\n"
        "  lea _start(%rip), %rax\n"
        "  add qemu(%rip), %rax\n"
        "  xor %ebx, %ebx\n"
        "  xor %edx, %edx\n" /* the ABI: a function to run at exit, none */
        "  jmp *%rax\n"
#elif defined(__aarch64__)
        "  mov x0, sp\n"
        "  sub sp, sp, #32\n"
        "  bl launch\n"
        "  mov sp, x0\n"
        "  adr x1, _start\n"
        "  adr x2, qemu\n"
        "  ldr x2, [x2]\n"
        "  add x1, x1, x2\n"
        "  mov x0, xzr\n" /* the ABI: a function to run at exit, none */
        "  mov x19, xzr\n"
        "  mov x29, xzr\n"
        "  mov x30, xzr\n"
        "  br x1\n"
#else
#error "no launcher for this architecture"
#endif
        "  .balign 8\n"
        "  .ascii \"crossdock-launch\"\n"
        "qemu: .quad 0\n"
        "keeps_argv0: .quad 0\n"
        "wants_pauth: .quad 0\n"
        ".text\n");

extern const long keeps_argv0 __attribute__((visibility("hidden")));
extern const long wants_pauth __attribute__((visibility("hidden")));

#if defined(__x86_64__)
enum { READ = 0, CLOSE = 3, FCNTL = 72, EXECVE = 59, OPENAT = 257, READLINKAT = 267 };
static long call(long number, long a, long b, long c, long d)
{
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}
#else
enum { READ = 63, CLOSE = 57, FCNTL = 25, EXECVE = 221, OPENAT = 56, READLINKAT = 78 };
static long call(long number, long a, long b, long c, long d)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#endif

/* Where `text` goes on after `start`; null when it does not begin with it. */
static const char *after(const char *text, const char *start)
{
    while (*start)
        if (*text++ != *start++)
            return NULL;
    return text;
}

/* Whether `word` is `pattern`, in which * stands for anything. */
static int fits(const char *word, const char *pattern)
{
    for (; *pattern != '*'; word++, pattern++) {
        if (*word != *pattern)
            return 0;
        if (!*pattern)
            return 1;
    }
    do
        if (fits(word, pattern + 1))
            return 1;
    while (*word++);
    return 0;
}

static int among(char **arguments, const char *pattern)
{
    for (; *arguments; arguments++)
        if (fits(*arguments, pattern))
            return 1;
    return 0;
}

static int is_set(char **environment, const char *name)
{
    for (const char *letter = name; *letter; letter++)
        if (*letter == '=')
            return among(environment, name);
    for (; *environment; environment++) {
        const char *rest = after(*environment, name);
        if (rest && rest[0] == '=' && rest[1])
            return 1;
    }
    return 0;
}

/* Whether a variable of the name that `setting` (NAME=VALUE) begins with is there, be it empty. */
static int names_one(char **environment, const char *setting)
{
    for (; *environment; environment++) {
        long at = 0;
        while (setting[at] && setting[at] == environment[0][at] && setting[at] != '=')
            at++;
        if (setting[at] == '=' && environment[0][at] == '=')
            return 1;
    }
    return 0;
}

/* The real path of an open file, without a null at its end; its length, or what is not above 0. */
static long real_path(int file, char *path)
{
    char link[32] = "/proc/self/fd/";
    char digits[12];
    int at = 14, count = 0;
    do
        digits[count++] = '0' + file % 10;
    while (file /= 10);
    while (count)
        link[at++] = digits[--count];
    link[at] = 0;
    long length = call(READLINKAT, AT_FDCWD, (long)link, (long)path, LONGEST_PATH);
    return length < LONGEST_PATH ? length : 0;
}

/* The beginning of a file; its length, which is that of the buffer when there may be more of it; -1: it cannot be read. */
static long read_start(const char *path, char *text, long size)
{
    long file = call(OPENAT, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0), length = 0, got = 0;
    if (file < 0)
        return -1;
    while (length < size && (got = call(READ, file, (long)text + length, size - length, 0)) > 0)
        length += got;
    call(CLOSE, file, 0, 0, 0);
    return got < 0 ? -1 : length;
}

/* Whether a short file is the same here and in the pack. */
static int is_same(const char *path)
{
    char packed[LONGEST_PATH], here[LONGEST_TEXT], there[LONGEST_TEXT];
    long at = 0;
    for (const char *letter = ROOT; *letter; letter++)
        packed[at++] = *letter;
    for (const char *letter = path; *letter && at < LONGEST_PATH - 1; letter++)
        packed[at++] = *letter;
    packed[at] = 0;
    long length = read_start(path, here, LONGEST_TEXT);
    if (length <= 0 || length == LONGEST_TEXT || read_start(packed, there, LONGEST_TEXT) != length)
        return 0;
    while (length--)
        if (here[length] != there[length])
            return 0;
    return 1;
}

/* The whole map with a null at its end; 0 when there is none, or one that is not understood. */
static int read_map(char *map)
{
    long size = read_start(MAP, map, LONGEST_MAP);
    if (size <= 0 || size == LONGEST_MAP)
        return 0;
    map[size] = 0;
    return after(map, FIRST_LINE) != NULL;
}

/* Whether a text is in the first bytes of a file; `place` is FILE:TEXT. */
static int file_says(const char *place)
{
    char path[LONGEST_PATH], said[LONGEST_PATH + 1];
    long at = 0, size = 0, got;
    while (place[at] && place[at] != ':' && at < LONGEST_PATH - 1) {
        path[at] = place[at];
        at++;
    }
    path[at] = 0;
    if (place[at] != ':')
        return 0;
    long file = call(OPENAT, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0)
        return 0;
    while (size < LONGEST_PATH && (got = call(READ, file, (long)said + size, LONGEST_PATH - size, 0)) > 0)
        size += got;
    call(CLOSE, file, 0, 0, 0);
    said[size] = 0;
    for (const char *text = said; *text; text++)
        if (after(text, place + at + 1))
            return 1;
    return 0;
}

/* What follows the path in the next line that has it, which is ended by a null; null when there is none. `rest` is
   where to look, and becomes where to look for another one. */
static char *find(char **rest, const char *path, long length)
{
    for (char *line = *rest; *line;) {
        long same = 0;
        while (same < length && line[same] == path[same])
            same++;
        int found = same == length && line[same] == ' ';
        char *end = line + same;
        while (*end && *end != '\n')
            end++;
        char *next = *end ? end + 1 : end;
        if (found) {
            *end = 0;
            *rest = next;
            return line + length + 1;
        }
        line = next;
    }
    return NULL;
}

/* Ends the word that begins at `text`; returns what follows it, null when it was the last. */
static char *cut(char *text, char separator)
{
    for (; *text; text++)
        if (*text == separator) {
            *text = 0;
            return text + 1;
        }
    return NULL;
}

/* Whether the arguments begin with ones that fit the patterns, which are divided by commas. */
static int begin(char **arguments, char *patterns)
{
    for (char *next; patterns; patterns = next, arguments++) {
        next = cut(patterns, ',');
        if (!*arguments || !fits(*arguments, patterns))
            return 0;
    }
    return 1;
}

/* What is said about a start, and what the kernel opened for QEMU (-1: nothing). */
struct start {
    char **arguments; /* from argv[0] on */
    long count;
    char **environment;
    long variables;
    int opened;
};

/* Execute the native program that a line of the map names, if its words allow; else return. */
static void execute(const struct start *start, char *native)
{
    char *firsts[MOST_ADDED], *lasts[MOST_ADDED], *sets[MOST_ADDED];
    int first = 0, last = 0, set = 0, wanted = 0, met = 0;
    char **given = start->arguments + 1;
    for (char *word = cut(native, ' '), *next; word; word = next) {
        const char *text;
        next = cut(word, ' ');
        if ((text = after(word, "unless-env="))) {
            if (is_set(start->environment, text))
                return;
        } else if ((text = after(word, "unless-arg="))) {
            if (among(given, text))
                return;
        } else if ((text = after(word, "if-arg="))) {
            wanted = 1;
            met |= among(given, text);
        } else if ((text = after(word, "if-file="))) {
            if (!file_says(text))
                return;
        } else if ((text = after(word, "if-args="))) {
            wanted = 1;
            met |= begin(given, (char *)text);
        } else if ((text = after(word, "same-file="))) {
            if (!is_same(text))
                return;
        } else if ((text = after(word, "first-arg=")) && first < MOST_ADDED) {
            firsts[first++] = (char *)text;
        } else if ((text = after(word, "add-arg=")) && last < MOST_ADDED) {
            lasts[last++] = (char *)text;
        } else if ((text = after(word, "set-env=")) && set < MOST_ADDED) {
            if (!names_one(start->environment, text))
                sets[set++] = (char *)text;
        } else {
            return; /* a word that this launcher does not know may mean that it must not be done */
        }
    }
    if (wanted && !met)
        return;

    char *arguments[start->count + first + last + 1], *environment[start->variables + set + 1];
    long at = 0;
    arguments[at++] = start->arguments[0];
    for (int index = 0; index < first; index++)
        arguments[at++] = firsts[index];
    for (long index = 1; index < start->count; index++)
        arguments[at++] = start->arguments[index];
    for (int index = 0; index < last; index++)
        arguments[at++] = lasts[index];
    arguments[at] = NULL;
    for (at = 0; at < start->variables; at++)
        environment[at] = start->environment[at];
    for (int index = 0; index < set; index++)
        environment[at++] = sets[index];
    environment[at] = NULL;

    /* A file that the kernel opened for QEMU must not be seen by the program, but by QEMU if this comes to nothing. */
    if (start->opened >= 0)
        call(FCNTL, start->opened, F_SETFD, FD_CLOEXEC, 0);
    call(EXECVE, (long)native, (long)arguments, (long)environment, 0);
    if (start->opened >= 0)
        call(FCNTL, start->opened, F_SETFD, 0, 0);
}

/* Starts the native program, if there is one; returns if QEMU is to go on. */
static void start_native(long *stack)
{
    long count = stack[0];
    char **arguments = (char **)stack + 1;
    char **environment = arguments + count + 1;
    char **end = environment;
    while (*end)
        end++;
    int opened = -1;
    for (long *entry = (long *)end + 1; entry[0] != AT_NULL; entry += 2) {
        if (entry[0] == AT_EXECFD)
            opened = (int)entry[1];
        if (entry[0] == AT_SECURE && entry[1])
            return;
    }
    long skipped = keeps_argv0 ? 2 : 1;
    if (count <= skipped)
        return;

    char map[LONGEST_MAP + 1], path[LONGEST_PATH];
    if (!read_map(map) || is_set(environment, "LD_PRELOAD"))
        return;
    int file = opened;
    if (file < 0)
        file = (int)call(OPENAT, AT_FDCWD, (long)arguments[1], O_PATH | O_CLOEXEC, 0);
    if (file < 0)
        return;
    long length = real_path(file, path);
    if (opened < 0)
        call(CLOSE, file, 0, 0, 0);
    if (length <= 0)
        return;

    const struct start start = {arguments + skipped, count - skipped, environment, end - environment, opened};
    char *rest = map, *native;
    while ((native = find(&rest, path, length)))
        execute(&start, native);
}

static int has_pack(void)
{
    long file = call(OPENAT, AT_FDCWD, (long)MAP, O_PATH | O_CLOEXEC, 0);
    if (file >= 0)
        call(CLOSE, file, 0, 0, 0);
    return file >= 0;
}

/* The same stack with two variables more at the end of the environment: what is before them moves down by their size.
   QEMU reads them, and does not hand them on to the program. */
static long *with_pauth(long *stack)
{
    long *to = stack - 2, *from = stack;
    long count = from[0];
    for (long index = 0; index < count + 2; index++)
        *to++ = *from++;
    while (*from)
        *to++ = *from++;
    to[0] = (long)"QEMU_CPU=max,pauth-impdef=on";
    to[1] = (long)"QEMU_UNSET_ENV=QEMU_CPU,QEMU_UNSET_ENV";
    return stack - 2;
}

__attribute__((used, visibility("hidden"))) long *launch(long *stack)
{
    start_native(stack);
    char **environment = (char **)stack + stack[0] + 2;
    if (!wants_pauth || is_set(environment, "QEMU_CPU") || is_set(environment, "QEMU_UNSET_ENV") || !has_pack())
        return stack;
    return with_pauth(stack);
}
