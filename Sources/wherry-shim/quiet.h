// System calls without libc, for where a shim spends its life: each page of the program that it touches while it waits
// brings fifteen neighbours with it, and libc's wrappers lie far from the loop.
#pragma once

/// Minus errno on failure. Arguments four and five are zero.
static inline long quiet_syscall(long number, long first, long second, long third) {
#if defined(__x86_64__)
  register long fourth asm("r10") = 0, fifth asm("r8") = 0;
  asm volatile("syscall"
               : "+a"(number)
               : "D"(first), "S"(second), "d"(third), "r"(fourth), "r"(fifth)
               : "rcx", "r11", "memory");
  return number;
#elif defined(__aarch64__)
  register long code asm("x8") = number, result asm("x0") = first, size asm("x1") = second, other asm("x2") = third;
  register long fourth asm("x3") = 0, fifth asm("x4") = 0;
  asm volatile("svc 0" : "+r"(result) : "r"(code), "r"(size), "r"(other), "r"(fourth), "r"(fifth) : "memory");
  return result;
#else
#error "wherry-shim knows x86_64 and aarch64; add how the kernel is called on this machine"
#endif
}
