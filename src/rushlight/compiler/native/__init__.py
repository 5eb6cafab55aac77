"""From LLVM IR to running code: the processor, the code in memory and on disk, the threads, and whole programs in one call.

    target      what a processor has                     target.host()
    jit         text -> machine code we own              jit.compile(text).address("f")
    disk_cache  machine code for the next process
    conversions functions for half and bfloat that LLVM calls where the processor has no instruction
    threads     the pool that runs one kernel            threads.set_num_threads(2)
    launch      a list of kernels run by one call        launch.Blueprint(...).launcher(numbers)(values)

Every kernel is `void kernel(ptr args, i64 begin, i64 end, ptr scratch)`: `args` are 8-byte slots (pointers, extents, strides,
scalars as bits); it does the tasks begin <= t < end; `scratch` is memory of the running worker alone, 64-byte aligned.
"""
