"""The only code that knows Numba and LLVM: vector registers, products, recurrences, threads, memory."""
