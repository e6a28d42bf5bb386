/* Answers of the kernel that tell the machine, as programs of a pack get them: those that the emulator gives.

   A shared library that the pack's loader puts before libc in every program (packs/make-pack.pl). Programs that ask
   uname(2) for the machine can so run natively. MACHINE is what the target's kernel says of itself.

   No libc and no data that would have to be relocated: see assist/compile.py. */

struct names {
    char system[65], node[65], release[65], version[65], machine[65], domain[65];
};

int uname(struct names *names);

int uname(struct names *names)
{
#if defined(__x86_64__)
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(63), "D"(names) : "rcx", "r11", "memory");
#else
    register long number __asm__("x8") = 160;
    register long result __asm__("x0") = (long)names;
    __asm__ volatile("svc 0" : "+r"(result) : "r"(number) : "memory");
#endif
    /* It fails only for a bad address, which a program would not survive, so errno is left alone. */
    if (result)
        return -1;
    static const char machine[] = MACHINE;
    for (unsigned at = 0; at < sizeof machine; at++)
        names->machine[at] = machine[at];
    return 0;
}
