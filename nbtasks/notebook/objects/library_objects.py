"""Objects of NumPy and pandas that are filled in place, by what their libraries offer for that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from nbtasks.engine.fingerprint import tables

__all__ = ["can_fill", "fill", "is_one", "is_read_only", "parts"]

_PACKAGES: Final = ("numpy", "pandas")


def is_one(value: Any) -> bool:
    """Return True for an object of NumPy or pandas."""
    return type(value).__module__.partition(".")[0] in _PACKAGES


def can_fill(old: Any, new: Any) -> bool:
    """Return True if an object can be given the content of another one of its type."""
    if tables.is_array(old):
        return _can_fill_array(old, new)
    if _is_index(old):  # of which only the names and the frequency can change
        return bool(old.dtype == new.dtype and old.equals(new))
    names = ("_update_inplace", "set_state", *_PARTS, "n_children_spawned")
    return any(hasattr(old, name) for name in names)


def fill(old: Any, new: Any) -> None:
    """Give an object the content of another one of its type."""
    if tables.is_array(old):
        _fill_array(old, new)
    elif _is_index(old):
        old.names = new.names
        if getattr(old, "freq", None) != (freq := getattr(new, "freq", None)):
            old.freq = freq
    elif tables.is_pandas(old):
        _fill_frame(old, new)
    else:
        _fill_generator(old, new)


def is_read_only(value: Any) -> bool:
    """Return True for an array that is read only, which a pickle keeps."""
    return tables.is_array(value) and not value.flags.writeable


# -- arrays and frames -----------------------------------------------------------------------------


def _can_fill_array(old: Any, new: Any) -> bool:
    is_writeable = old.flags.writeable or old.flags.owndata
    if not is_writeable or (old.dtype.hasobject and old.dtype != new.dtype):
        return False
    if old.shape == new.shape and old.dtype == new.dtype:
        return True
    is_whole = old.flags.c_contiguous and old.flags.owndata
    return bool(is_whole and old.size == new.size and old.itemsize == new.itemsize)


def _fill_array(old: Any, new: Any) -> None:
    if old.dtype != new.dtype:
        old.dtype = new.dtype
    if old.shape != new.shape:
        old.resize(new.shape)  # of the same size: it stays where it is
    if not old.flags.writeable:
        if (old == new).all():  # a record need not keep the flag
            return
        old.setflags(write=True)
    old[...] = new
    if not new.flags.writeable:
        old.setflags(write=False)


def _is_index(value: Any) -> bool:
    return tables.is_pandas(value) and not hasattr(value, "_update_inplace")


def _fill_frame(old: Any, new: Any) -> None:
    """Fill a frame or a series; labels that are the same stay the same object."""
    axes = new._mgr.axes  # noqa: SLF001 - no other way keeps the object
    for place, (label, living) in enumerate(zip(axes, old._mgr.axes, strict=True)):  # noqa: SLF001 - as above
        if type(label) is type(living) and label.identical(living):
            axes[place] = living
    old._update_inplace(new)  # noqa: SLF001 - what its own `inplace=True` calls
    old.attrs = new.attrs
    old.flags.allows_duplicate_labels = new.flags.allows_duplicate_labels
    if old.ndim == 1:
        old.name = new.name
    for name in [name for name in vars(old) if name[:1] != "_"]:
        object.__delattr__(old, name)
    for name, value in vars(new).items():
        if name[:1] != "_":
            object.__setattr__(old, name, value)


# -- generators of random numbers ------------------------------------------------------------------

#: Attributes with what a generator consists of: the bits, and the sequence that has seeded them.
_PARTS: Final = ("bit_generator", "_bit_generator", "seed_seq")


def parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what a generator of random numbers consists of, by the names of attributes."""
    if type(value).__module__.startswith("numpy.random"):
        for name in _PARTS:
            if (part := getattr(value, name, None)) is not None:
                yield name, part


def _fill_generator(old: Any, new: Any) -> None:
    if hasattr(old, "n_children_spawned"):
        old.__init__(
            new.entropy,
            spawn_key=new.spawn_key,
            pool_size=new.pool_size,
            n_children_spawned=new.n_children_spawned,
        )
    elif hasattr(old, "bit_generator"):
        old.bit_generator.state = new.bit_generator.state
    elif hasattr(old, "seed_seq"):
        old.state = new.state
    else:
        old.set_state(new.get_state(legacy=False))
