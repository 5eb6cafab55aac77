"""Floor 1: from a graph to machine code.

    graph of primitives --schedule--> kernels --loops--> nests --llvmir--> LLVM IR --native--> machine code --program--> one call

    program.py        compile_program and Program: from the graph to one native call          start here
    stepwise.py       the other way for a graph that is new: node by node, through programs that are there
    rewrites.py       rewrites of the graph before anything else
    schedule.py       which nodes share a kernel;   storing.py  which values lie in memory between kernels;   steps.py  what comes out
    patterns.py       what many groups of nodes have in common is worked out once (numbering.py);   making.py  a group becomes steps
    kernels.py        the canonical text of a step, and the machine code that is kept for it
    memory_plan.py    where in the arena these lie
    expressions.py    one element of a node as an expression of loads
    lowering.py       the nests of maps and of sums of columns;   rows.py  of reductions along rows;   ordered.py  of what goes along
                      an axis in order
    loops.py          the nest itself, and the passes over it
    emit.py           a nest as LLVM IR, with transposing.py (tiles with rows and columns exchanged)
    evaluation.py     its expressions;   reducing.py  how two values of a reduction become one
    products.py       a matrix product as a kernel, written by contraction.py (blocks and tiles), packing.py, microkernel.py (the inner
                      loops), skinny.py (few rows) and tiles.py (what is fused into it)
    sorting.py        a sort as a kernel
    attention.py      attention as a kernel, the scores block by block (score_blocks.py)
    convolution.py    a convolution as a product that packs windows of images (windows.py), or without tiles (depthwise.py)
    repetition.py     a loop over time: kernels that are launched again for each turn
    vectormath.py     every element-wise primitive, with transcendentals.py, specialfunctions.py, polynomials.py (their coefficients),
                      conversions.py (how dtypes lie in memory and registers) and lanes.py (arithmetic as Python writes it)
    llvmir.py         LLVM IR as text
    explain.py        programs as text that people read
    native/           machine code: made, kept, launched, on how many threads

Start with program.py (`compile_program`, `Program.run`), then follow the arrows.
"""
from ..switches import (  # what PyTorch keeps in torch.compiler
    allow_in_graph,
    assume_constant_result,
    compile,
    config,
    cudagraph_mark_step_begin,
    disable,
    is_compiling,
    is_dynamo_compiling,
    is_exporting,
    list_backends,
    nested_compile_region,
    reset,
    set_stance,
    substitute_in_graph,
    wrap_numpy,
)
