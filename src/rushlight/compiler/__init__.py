"""Floor 1: from a graph to machine code.

    graph of primitives --schedule--> kernels --loops--> nests --llvmir--> LLVM IR --native--> machine code --program--> one call

Start with program.py (`compile_program`, `Program.run`), then follow the arrows.
"""
