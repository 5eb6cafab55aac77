"""Floor 2: recording calls, and running what was recorded.

    recorder.py   the trie of traces: a call that was recorded before is one look-up
    trace.py      one run along the trie: the handles given out, the memory read, the run-time numbers
    plan.py       what a flush does: which values are wanted, where they go, which program makes them
    memory.py     blocks of memory
    generator.py  random numbers: PyTorch's, draw by draw

Start with recorder.py.  Nothing here knows what an operator means, how a gradient is made, or what a tensor can do: floor 3 hands in
the class of the handles, floor 5 what backward will need.
"""
