"""Asking the processor for memory before it is needed.

Items that a beam visits lie anywhere in the table; without asking early a search takes about twice as long.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

__all__ = ["CACHE_LINE", "prefetch_line"]

CACHE_LINE = 64  # bytes


def _code_of_prefetch(typing_context: Any, array: Any, row: Any, column: Any) -> Any:
    """Generate code that begins to read the cache line of array[row, column].

    It has no other effect.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        view = context.make_array(kind)(context, builder, arguments[0])
        pointer = cgutils.get_item_pointer(context, builder, kind, view, list(arguments[1:]), boundscheck=False)
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        wanted = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        llvm = cgutils.get_or_insert_function(builder.module, wanted, "llvm.prefetch.p0")
        to_read, keep, data = (ir.Constant(number, value) for value in (0, 3, 1))
        builder.call(llvm, [builder.bitcast(pointer, byte), to_read, keep, data])
        return context.get_dummy_value()

    return types.void(array, types.int64, types.int64), generate


prefetch_line: Any = intrinsic(_code_of_prefetch)
