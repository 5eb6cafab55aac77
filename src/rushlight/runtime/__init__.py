"""Floor 2: recording calls, and running what was recorded.

    recorder.py   the trie of traces: a call that was recorded before is one look-up
    trace.py      one run along the trie: the handles given out, the memory read, the run-time numbers
    plan.py       what a flush does: which values are wanted, where they go, which program makes them
    storage.py    storages, and where in them tensors lie
    writing.py    writing to a storage that several tensors lie in
    memory.py     blocks of memory
    generator.py  random numbers: PyTorch's, draw by draw;   draws.py, rejection.py  the native loops under it

Start with recorder.py.  Nothing here knows what an operator means, how a gradient is made, or what a tensor can do: floor 3 hands in
the class of the handles, floor 5 what backward will need.
"""
