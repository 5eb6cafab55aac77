"""Write the stub files that tell editors and type checkers what is attached to Tensor and to the namespace.

    python tools/make_stubs.py            write src/rushlight/__init__.pyi and src/rushlight/tensors/tensor.pyi
    python tools/make_stubs.py --check    exit status 1 where they are not what would be written

Tensor's methods and the functions of `rushlight` come from the operators' definitions when the package is imported; an editor does not
import it, so what it needs stands in these files.
"""
import argparse
import inspect
import sys
import types
from pathlib import Path

import rushlight

SOURCE = Path(rushlight.__file__).parent
HEAD = '"""Made by tools/make_stubs.py from the operators\' definitions."""\nfrom typing import Any\n'


def parameters(function, method):
    """A parameter list with defaults elided."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ("self, " if method else "") + "*args: Any, **kwargs: Any"
    parts, star, first = [], False, True
    for p in signature.parameters.values():
        if p.kind is p.VAR_POSITIONAL:
            parts.append(f"*{p.name}: Any")
            star = True
        elif p.kind is p.VAR_KEYWORD:
            parts.append(f"**{p.name}: Any")
        else:
            if p.kind is p.KEYWORD_ONLY and not star:
                parts.append("*")
                star = True
            name = "self" if method and first else p.name
            annotated = name if name == "self" else f"{name}: Any"
            parts.append(annotated if p.default is p.empty else f"{annotated} = ...")
        first = False
    wrapped = getattr(function, "__wrapped__", None)
    if wrapped is not None and getattr(function, "operator", None) is not None and not function.operator.view and "out" not in signature.parameters:
        parts += ([] if star else ["*"]) + ["out: Any = ..."]
    return ", ".join(parts)


def tensor_stub():
    """The text of tensor.pyi."""
    lines = [HEAD, "", "class Tensor:", "    def __init__(self, *args: Any, **kwargs: Any) -> None: ..."]
    for name in sorted(dir(rushlight.Tensor)):
        if name.startswith("__") and getattr(object, name, None) is getattr(rushlight.Tensor, name, None) or name in ("__init__", "__new__", "__slots__"):
            continue
        member = inspect.getattr_static(rushlight.Tensor, name)
        if isinstance(member, property):
            lines += ["    @property", f"    def {name}(self) -> Any: ..."]
            if member.fset is not None:
                lines += [f"    @{name}.setter", f"    def {name}(self, value: Any) -> None: ..."]
        elif isinstance(member, staticmethod):
            lines += ["    @staticmethod", f"    def {name}({parameters(member.__func__, False)}) -> Any: ..."]
        elif isinstance(member, classmethod):
            lines += ["    @classmethod", f"    def {name}(cls, *args: Any, **kwargs: Any) -> Any: ..."]
        elif isinstance(member, types.FunctionType):
            lines.append(f"    def {name}({parameters(member, True)}) -> Any: ...")
        elif not name.startswith("__"):
            lines.append(f"    {name}: Any")
    return "\n".join([*lines, "", "def plain(place: Any) -> Tensor: ...", ""])


def namespace_stub():
    """The text of __init__.pyi."""
    lines = [HEAD]
    submodules = []
    for path in sorted(SOURCE.iterdir()):
        name = path.stem
        if (path / "__init__.py").exists() or path.suffix == ".py" and not name.startswith("_"):
            submodules.append(name)
    lines += [f"from . import {name} as {name}" for name in submodules]
    lines += ["from .tensors.tensor import Tensor as Tensor", ""]
    later = {name: getattr(rushlight, name) for name in rushlight._LATER}
    for name, value in sorted({**vars(rushlight), **later}.items()):
        if name.startswith("_") or name == "Tensor" or name in submodules or isinstance(value, types.ModuleType):
            continue
        if isinstance(value, types.FunctionType):
            lines.append(f"def {name}({parameters(value, False)}) -> Any: ...")
        else:
            lines.append(f"{name}: Any")
    return "\n".join([*lines, "__version__: str", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the files are up to date")
    options = parser.parse_args()
    stale = []
    for path, text in ((SOURCE / "__init__.pyi", namespace_stub()), (SOURCE / "tensors" / "tensor.pyi", tensor_stub())):
        if not path.exists() or path.read_text() != text:
            stale.append(path)
            if not options.check:
                path.write_text(text)
    for path in stale:
        print(("stale: " if options.check else "written: ") + str(path))
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
