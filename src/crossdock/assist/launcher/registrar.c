/* The registrar: writes one text into one file of the kernel's binfmt_misc, from a privileged container of its own.

     registrar FILE TEXT

   For people who may start containers but are not root on the machine. The container has this program, a folder
   /binfmt and the launcher, and nothing else. Exit code: 0, or the number of the kernel's error.

   No libc: see assist/compile.py. */

__asm__(".globl _start\n"
        "_start:\n"
#if defined(__x86_64__)
        "  mov %rsp, %rdi\n"
        "  and $-16, %rsp\n"
        "  call registrar\n"
#elif defined(__aarch64__)
        "  mov x0, sp\n"
        "  bl registrar\n"
#else
#error "no registrar for this architecture"
#endif
);

#define AT_FDCWD -100
#define O_WRONLY 1

#if defined(__x86_64__)
enum { WRITE = 1, OPENAT = 257, MOUNT = 165, CHDIR = 80, EXIT = 60 };
static long call(long number, long a, long b, long c, long d, long e)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}
#else
enum { WRITE = 64, OPENAT = 56, MOUNT = 40, CHDIR = 49, EXIT = 93 };
static long call(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
    return x0;
}
#endif

static void leave(long result)
{
    call(EXIT, result < 0 ? -result : 0, 0, 0, 0, 0);
}

__attribute__((used)) void registrar(long *stack)
{
    const char *binfmt = "binfmt_misc", *folder = "/binfmt";
    if (stack[0] != 3)
        leave(-22); /* EINVAL */
    const char *file = (const char *)stack[2], *text = (const char *)stack[3];
    long length = 0;
    while (text[length])
        length++;
    long result = call(MOUNT, (long)binfmt, (long)folder, (long)binfmt, 0, 0);
    if (result < 0)
        leave(result);
    call(CHDIR, (long)folder, 0, 0, 0, 0);
    long opened = call(OPENAT, AT_FDCWD, (long)file, O_WRONLY, 0, 0);
    if (opened < 0)
        leave(opened);
    result = call(WRITE, opened, (long)text, length, 0, 0);
    leave(result == length ? 0 : result < 0 ? result : -5); /* EIO */
    for (;;)
        ;
}
