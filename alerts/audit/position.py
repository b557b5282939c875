"""Where something stands that msgspec left as it was in a body: it is a view into the body, whose address tells."""

import ctypes
from collections.abc import Buffer

_SIMPLE = 0


class _View(ctypes.Structure):
    """Py_buffer, as CPython's stable interface has it (Include/pybuffer.h)."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


_view_of = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.POINTER(_View), ctypes.c_int)(
    ("PyObject_GetBuffer", ctypes.pythonapi)
)
_release = ctypes.PYFUNCTYPE(None, ctypes.POINTER(_View))(("PyBuffer_Release", ctypes.pythonapi))


def address(content: Buffer) -> int:
    """Return where in memory the bytes of something begin, 0 for nowhere. They stay there as long as it does."""
    view = _View()
    _view_of(content, view, _SIMPLE)
    try:
        return view.buf or 0
    finally:
        _release(view)
