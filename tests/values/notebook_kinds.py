"""Kinds of values that a notebook's classes make: the cell of the classes, and each kind by name.

The texts are executed in processes of their own, `VERSION` 1 and then 2.
"""

# ruff: noqa: E501 - cells, as dense as they are quick to read here

from __future__ import annotations

#: The cell of the classes. In the second kernel VERSION is 2: each method says so.
CLASSES = """
import abc, collections, copyreg, io, dataclasses, datetime, decimal, enum, fractions, functools, itertools
import pathlib, types, typing
import numpy as np, pandas as pd, pydantic, pydantic.dataclasses

T = typing.TypeVar("T")

class Base:
    __slots__ = ()
    def seen(self): return VERSION

class Plain(Base):
    made = 0
    def __init__(self, a, b=None): self.a, self.b = a, b
    def method(self): return self.a
    @classmethod
    def of(cls): return cls.__name__
class Child(Plain): pass
class Slots(Base):
    __slots__ = ("a", "b")
    def __init__(self, a): self.a = a
class Both(Slots):
    __slots__ = ("c", "__dict__")
class Box(typing.Generic[T]):
    def __init__(self, a: T): self.a = a
    def seen(self): return VERSION
class Abstract(abc.ABC):
    @abc.abstractmethod
    def seen(self): ...
class Concrete(Abstract):
    def __init__(self, a): self.a = a
    def seen(self): return VERSION
class Meta(type): pass
class WithMeta(Base, metaclass=Meta): pass
class Outer(Base):
    class Inner(Base):
        class Deep(Base): pass
    class Level(enum.Enum): LOW = 1
class WithNew(Base):
    def __new__(cls, a):
        made = super().__new__(cls)
        made.a = a
        return made
class Singleton(Base):
    one = None
    def __new__(cls):
        cls.one = cls.one or super().__new__(cls)
        return cls.one
class Caching(Base):
    def __init__(self, a): self.a = a
    @functools.cached_property
    def square(self): return self.a ** 2
class Calls(Base):
    def __init__(self, a): self.a = a
    def __call__(self): return VERSION
class Reduces(Base):
    def __init__(self, a): self.a = a
    def __reduce__(self): return Reduces, (self.a,)
class GetsState(Base):
    def __init__(self, a): self.a, self.lock = a, open
    def __getstate__(self): return {"a": self.a}
    def __setstate__(self, state): self.a, self.lock = state["a"], open
class GetsArgs(Base):
    def __new__(cls, a, b):
        made = object.__new__(cls)
        made.a, made.b = a, b
        return made
    def __getnewargs__(self): return (self.a, self.b)
class GetsNamed(Base):
    def __new__(cls, *, a):
        made = object.__new__(cls)
        made.a = a
        return made
    def __getnewargs_ex__(self): return (), {"a": self.a}

Collected = collections.namedtuple("Collected", "a b")
Aliased = collections.namedtuple("AnotherName", "a")
class Typed(typing.NamedTuple):
    a: int
    b: str = "b"
    def seen(self): return VERSION
class Doubling(collections.namedtuple("AsIs", "a b")):
    def __new__(cls, a): return super().__new__(cls, a, 2 * a)
class GenericTuple(typing.NamedTuple, typing.Generic[T]):
    a: T

class Rows(list, Base): pass
class Named(list, Base):
    def __init__(self, name, items): super().__init__(items); self.name = name
class Table(dict, Base):
    def __missing__(self, key): return VERSION
class Ordered(collections.OrderedDict, Base):
    def __init__(self, name): super().__init__(); self.name = name
class Defaults(collections.defaultdict, Base):
    def __init__(self, name): super().__init__(list); self.name = name
class Counts(collections.Counter, Base): pass
class Queue(collections.deque, Base): pass
class UserD(collections.UserDict, Base): pass
class Tags(set, Base):
    def __init__(self, name, items): super().__init__(items); self.name = name
class Frozen(frozenset, Base): pass
class Pair(tuple, Base): pass
class Point(tuple, Base):
    def __new__(cls, x, y): return super().__new__(cls, (x, y))
class Name(str):
    def seen(self): return VERSION
class Shouted(str):
    def __new__(cls, text, mark): return super().__new__(cls, text + mark)
class Meters(float):
    def __new__(cls, feet): return super().__new__(cls, feet * 0.3)
class Number(int):
    def __new__(cls, a, unit="m"):
        made = super().__new__(cls, a)
        made.unit = unit
        return made
class Raw(bytes): pass
class RawArray(bytearray): pass
class Z(complex): pass
class Money(decimal.Decimal): pass
class Part(fractions.Fraction): pass
class Day(datetime.date):
    def __new__(cls, text): return super().__new__(cls, *map(int, text.split("-")))
class Moment(datetime.datetime): pass
class Place(type(pathlib.Path())): pass

class Error(Exception):
    def seen(self): return VERSION
class Coded(ValueError):
    def __init__(self, code, *, hint): super().__init__(f"code {code}"); self.code, self.hint = code, hint
class Disk(OSError): pass
class Missing(KeyError): pass
class Undecodable(UnicodeDecodeError):
    def __init__(self, data): super().__init__("ascii", data, 0, 1, "no")
class Group(ExceptionGroup): pass

class Color(enum.Enum):
    RED = 1
    GREEN = 2
    def seen(self): return VERSION
class Num(enum.IntEnum): ONE = 1
class Word(enum.StrEnum): A = "a"
class Perm(enum.Flag):
    R = 1
    W = 2
class IntPerm(enum.IntFlag):
    R = 1
    W = 2
Functional = enum.Enum("AnotherEnum", "A B")
class Mixed(Base, enum.Enum):
    A = (1, 2)
    def __init__(self, x, y): self.x = x
class Renumbered(enum.Enum): A = VERSION

@dataclasses.dataclass
class Data:
    a: int
    b: list = dataclasses.field(default_factory=list)
    def seen(self): return VERSION
@dataclasses.dataclass(frozen=True, slots=True)
class FrozenData:
    a: int
@dataclasses.dataclass
class Items(list):
    name: str = ""
@dataclasses.dataclass
class DataError(Exception):
    a: int
@dataclasses.dataclass
class DataBox(typing.Generic[T]):
    a: T
Made = dataclasses.make_dataclass("MadeElsewhere", ["a"])
class Model(pydantic.BaseModel):
    a: int
    color: Color = Color.RED
    def seen(self): return VERSION
class Private(pydantic.BaseModel):
    a: int
    _b: int = pydantic.PrivateAttr(0)
class GenericModel(pydantic.BaseModel, typing.Generic[T]):
    a: T

class PairModel(pydantic.BaseModel, typing.Generic[T]):
    a: list[T]
class Root(pydantic.RootModel[list[int]]): pass
class Loose(pydantic.BaseModel, extra="allow"):
    a: int
@pydantic.dataclasses.dataclass
class Checked:
    a: int
UserId = typing.NewType("UserId", int)
class Sentinel:
    def __reduce__(self): return "MISSING"
MISSING = Sentinel()
@functools.lru_cache
def cached(x): return x
def wrapping(kind):
    @functools.wraps(kind, updated=())
    def make(*args): return kind(*args)
    return make
@wrapping
class Wrapped(Base):
    def __init__(self, a): self.a = a
class Info(np.ndarray):
    def __new__(cls, data, unit=None):
        made = np.asarray(data).view(cls)
        made.unit = unit
        return made
    def __array_finalize__(self, of): self.unit = getattr(of, "unit", None)
class Stamp(pd.Timestamp): pass
class Scaler(Base):
    def __init__(self, by=1): self.by = by
    def fit(self, X, y=None): self.n_ = len(X); return self
    def transform(self, X): return X * self.by
class Stream(io.RawIOBase, Base):
    def __init__(self, path): self.path = path
    def __reduce__(self): return Stream, (self.path,)
class Registered(Base): pass
copyreg.pickle(Registered, lambda value: (Registered, ()))
class CountsInit(collections.Counter, Base):
    def __init__(self, name, items=()): super().__init__(items); self.name = name
class Chained(RuntimeError):
    def __init__(self, path, *, cause): super().__init__(path, cause); self.cause = cause
    def __str__(self): return f"{self.args[0]} by {self.cause}"
class DiskWith(OSError):
    def __init__(self, code, text, path, more): super().__init__(code, text, path); self.more = more
class Versioned(tuple, Base):
    __slots__ = ()
    def __new__(cls, text): return super().__new__(cls, map(int, text.split(".")))
class Weak(Base):
    __slots__ = ("a", "__weakref__")
class Hidden(Base):
    def __init__(self): self.__a = 1
class Metadata(type):
    def __call__(cls, *args):
        made = super().__call__(*args)
        made.registered = True
        return made
class WithCall(Base, metaclass=Metadata): pass
class Proto(typing.Protocol):
    def seen(self): ...
class Implements(Proto):
    def __init__(self, a): self.a = a
    def seen(self): return VERSION
class Movie(typing.TypedDict): a: int
@functools.total_ordering
class Ordered2(Base):
    def __init__(self, a): self.a = a
    def __eq__(self, other): return type(other) is Ordered2 and self.a == other.a
    def __lt__(self, other): return self.a < other.a
    def __hash__(self): return hash(self.a)

class Delegating(Base):
    def __init__(self, inner): self.inner = inner
    def __getattr__(self, name): return getattr(self.inner, name)
class Immutable(Base):
    __slots__ = ("a",)
    def __init__(self, a): object.__setattr__(self, "a", a)
    def __setattr__(self, name, value): raise AttributeError("immutable")
class Logged(dict, Base):
    def __init__(self, **items):
        super().__init__()
        self.log = []
        for name, item in items.items(): self[name] = item
    def __setitem__(self, name, item): self.log.append(name); super().__setitem__(name, item * 2)
class Doubled(list, Base):
    def __init__(self, *items):
        self.added = 0
        for item in items: self.append(item)
    def append(self, item): self.added += 1; super().append(item * 2)
    def extend(self, items):
        for item in items: self.append(item)
class LoggedOrder(collections.OrderedDict, Base):
    def __setitem__(self, name, item): super().__setitem__(name, item * 2)
class Watched(Base):
    def __init__(self, a): self.__dict__["a"] = a
    def __setattr__(self, name, value): raise AttributeError("watched")
    def __getattribute__(self, name): return object.__getattribute__(self, name)
class Shadowed(Base):
    def __init__(self): self.__dict__["a"] = 1
    @property
    def a(self): return self.__dict__["a"]

class Frame(pd.DataFrame, Base):
    _metadata = ["kept"]
    @property
    def _constructor(self): return Frame
class Column(pd.Series, Base):
    @property
    def _constructor(self): return Column
class Array(np.ndarray, Base): pass

def double(x, y=2): return y * x
def color_of(name): return Color[name]
def made(kind, base, **state):
    value = base
    for name, item in state.items(): setattr(value, name, item)
    return value
def slots(value, b): value.b = b; return value
def cyclic():
    value = Plain(1)
    value.b = [value, {"me": value}]
    return value
def caught():
    try: raise Coded(5, hint="h")
    except Coded as error: return error
"""

#: By name: how the value is made, and what of it is compared (by default all that a value has).
KINDS = {
    "plain": "Plain(1, 'b')",
    "child": "Child(1)",
    "slots": "slots(Slots(1), 2)",
    "slot not set": "Slots(1)",
    "slots and dict": "made(Both, Both(1), c=3, d=4)",
    "generic": "Box(1)",
    "generic with its type": "Box[int](1)",
    "generic with a type of the notebook": "Box[Plain](Plain(1))",
    "generic with a type variable": "Box[T](1)",
    "abstract": "Concrete(1)",
    "metaclass": "WithMeta()",
    "nested": "Outer.Inner()",
    "nested deeply": "Outer.Inner.Deep()",
    "nested enum": "[Outer.Level.LOW, Plain(Outer.Level.LOW)]",
    "new with arguments": "WithNew(1)",
    "singleton": "Singleton()",
    "cached property": "Caching(3)",
    "callable": "Calls(1)",
    "reduce": "Reduces(1)",
    "getstate": "GetsState(1)",
    "getnewargs": "GetsArgs(1, 2)",
    "getnewargs_ex": "GetsNamed(a=1)",
    "namedtuple": "Collected(1, 2)",
    "namedtuple of another name": "Aliased(1)",
    "NamedTuple": "Typed(1)",
    "namedtuple with new": "Doubling(2)",
    "generic NamedTuple": "GenericTuple(1)",
    "list": "Rows([1, Plain(2)])",
    "list with init": "Named('n', [1, 2])",
    "dict": "Table(a=1, b=Plain(2))",
    "OrderedDict with init": "made(Ordered, Ordered('n'), x=1)",
    "defaultdict with init": "made(Defaults, Defaults('n'), x=1)",
    "Counter with attributes": "made(Counts, Counts('aab'), source='s')",
    "deque": "made(Queue, Queue([1], 3), x=1)",
    "UserDict": "UserD(a=1)",
    "set with init": "Tags('n', [1, 2])",
    "frozenset": "made(Frozen, Frozen([1]), x=1)",
    "tuple": "Pair((1, Plain(2)))",
    "tuple with new": "Point(1, 2)",
    "str": "made(Name, Name('a'), x=1)",
    "str with new": "Shouted('a', '!')",
    "float with new": "Meters(10)",
    "int with attributes": "Number(5, 'km')",
    "bytes": "Raw(b'a')",
    "bytearray": "made(RawArray, RawArray(b'a'), x=1)",
    "complex": "Z(1, 2)",
    "Decimal": "made(Money, Money('1.50'), currency='EUR')",
    "Fraction": "made(Part, Part(1, 3), x=1)",
    "date with new": "Day('2026-01-02')",
    "datetime": "made(Moment, Moment(2026, 1, 2, tzinfo=datetime.UTC), x=1)",
    "path": "Place('a/b')",
    "exception": "Error('a', 1)",
    "exception with init": "caught()",
    "OSError": "Disk(2, 'gone', 'file')",
    "KeyError": "Missing('k')",
    "UnicodeDecodeError with init": "Undecodable(b'\\xff')",
    "exception group": "Group('g', [Error('a')])",
    "enum": "Color.RED",
    "enum in a pickle": "Plain(Color.RED)",
    "enum as a key in a pickle": "Plain({Color.RED: {Color.GREEN}})",
    "IntEnum": "[Num.ONE, Plain(Num.ONE)]",
    "StrEnum": "[Word.A, Plain(Word.A)]",
    "flag": "[Perm.R, Plain(Perm.R)]",
    "flags": "[Perm.R | Perm.W, Plain(Perm.R | Perm.W)]",
    "IntFlag": "[IntPerm.W, Plain(IntPerm.R | IntPerm.W)]",
    "enum of another name": "[Functional.A, Plain(Functional.A)]",
    "enum with new or init": "[Mixed.A, Plain(Mixed.A)]",
    "enum whose values have changed": "[Renumbered.A, Plain(Renumbered.A)]",
    "dataclass": "Data(1, [2])",
    "dataclass in a pickle": "Plain(Data(1, [2]))",
    "dataclass with more attributes": "made(Data, Data(1), x=1)",
    "frozen dataclass": "[FrozenData(1), Plain(FrozenData(1))]",
    "dataclass that is a list": "made(Items, Items('n'), x=[1]).__iadd__([1, 2])",
    "dataclass that is an exception": "DataError(1)",
    "generic dataclass": "DataBox[int](1)",
    "dataclass made by a call": "[Made(1), Plain(Made(1))]",
    "model": "Model(a=1)",
    "model in a pickle": "Plain(Model(a=1))",
    "model with private attributes": "made(Private, Private(a=1), _b=5)",
    "generic model": "[GenericModel(a=1), Plain(GenericModel(a=1))]",
    "generic model with types": "[GenericModel[int](a=1), Plain(PairModel[Color](a=[Color.RED]))]",
    "delegating": "Delegating(Plain(1))",
    "delegating to text": "Delegating('text')",
    "delegating to a tuple": "[Delegating((1, 2)), Delegating(pd.DataFrame({'a': [1]}))]",
    "immutable with slots": "Immutable(1)",
    "dict that changes what it is given": "Logged(a=1, b=2)",
    "list that changes what it is given": "Doubled(1, 2)",
    "OrderedDict that changes what it is given": "LoggedOrder(a=1)",
    "watched attributes": "Watched(1)",
    "attribute behind a property": "Shadowed()",
    "root model": "[Root([1]), Plain(Root([1]))]",
    "model with extra fields": "[Loose(a=1, b=2), Plain(Loose(a=1, b=2))]",
    "pydantic dataclass": "[Checked(1), Plain(Checked(1))]",
    "NewType": "Plain(UserId)",
    "global object": "[MISSING, Plain(MISSING)]",
    "cached function": "Plain(cached)",
    "class behind a function": "Wrapped(1)",
    "array with metadata": "Info([1, 2], 'm')",
    "Timestamp": "[Stamp('2026-01-01'), Plain(1)]",
    "estimator": "Scaler(2).fit([[1]])",
    "own stream": "Stream('a')",
    "copyreg": "Registered()",
    "Counter with init": "CountsInit('n', 'aab')",
    "exception with keywords": "Chained('a', cause='b')",
    "OSError with init": "DiskWith(2, 'gone', 'file', 'more')",
    "tuple with text": "Versioned('1.2.3')",
    "slots with weak references": "made(Weak, Weak(), a=1)",
    "private names": "Hidden()",
    "metaclass with call": "WithCall()",
    "protocol": "Implements(1)",
    "typed dict": "Plain(Movie(a=1))",
    "ordered": "{Ordered2(1): Ordered2(2)}",
    "functions": "[double, Plain(double), functools.partial(double, 1).func, color_of]",
    "enums in containers": "collections.OrderedDict({Color.RED: [{Perm.R | Perm.W, Outer.Level.LOW}]})",
    "member of a frame": "pd.Series([Color.RED, Color.GREEN], dtype=object)",
    "categories of members": "pd.Series(pd.Categorical([Color.RED, Color.GREEN]))",
    "mapping proxy": "Plain(types.MappingProxyType({'a': Plain(1)}).copy())",
    "DataFrame": "made(Frame, Frame({'a': [1, 2]}), kept='k', lost='l')",
    "Series": "Column([1, 2])",
    "ndarray": "made(Array, np.arange(3).view(Array), unit='m')",
    "frame of objects": "pd.DataFrame({'a': [Plain(1), Color.RED]})",
    "array of objects": "np.array([Plain(1), Color.RED], dtype=object)",
    "class": "[Plain, Outer.Inner, Collected, Color, Data]",
    "class as a key": "{Plain: 1, Color: 2}",
    "class in an object": "Plain(Plain)",
    "generic alias": "[Box[int], list[Plain], typing.Optional[Plain]]",
    "type variable": "Plain(T)",
    "holder": "Plain([Child(1), {'a': (Slots(1), Typed(2))}], Rows([Color.RED]))",
    "holder of library": "[fractions.Fraction(1, 3), collections.OrderedDict(a=Plain(1))]",
    "namespace": "types.SimpleNamespace(a=Plain(1))",
    "cycle": "cyclic().b[0].a",
    "partial": "functools.partial(Plain, b=1).func",
    "bound method": "[m.__self__ for m in [Plain(1).method]]",
}

BODY = """
import os, signal, sys, json
import nbtasks as nb
nb.configure(tree=False)

def state(value, seen=()):
    # All that a value is, by types and parts.
    kind = type(value)
    if id(value) in seen or kind in (type(None), bool, int, float, str, bytes, complex): return value
    seen = (*seen, id(value))
    if isinstance(value, type) or isinstance(value, (enum.Enum, typing.TypeVar, types.FunctionType)):
        return value
    parts = [kind]
    if isinstance(value, pd.DataFrame | pd.Series):
        return [kind, state(value.to_dict(), seen), {k: v for k, v in vars(value).items() if k[0] != "_"}]
    if isinstance(value, np.ndarray): parts.append([state(v, seen) for v in value.tolist()])
    if isinstance(value, BaseException):
        parts += [str(value), state(value.args, seen), [getattr(value, n, None) for n in ("errno", "filename", "reason")]]
    if isinstance(value, dict): parts.append([(state(k, seen), state(v, seen)) for k, v in value.items()])
    elif isinstance(value, (list, tuple, collections.deque)): parts.append([state(v, seen) for v in value])
    elif isinstance(value, (set, frozenset)): parts.append(set(value))
    elif isinstance(value, (str, bytes, bytearray, int, float, complex, decimal.Decimal, fractions.Fraction,
                            datetime.date, pathlib.PurePath)): parts.append((repr(value), value))
    names = [n for k in kind.__mro__ for n in vars(k).get("__slots__", ()) if n[:2] != "__"]
    parts.append({n: state(getattr(value, n), seen) for n in names if hasattr(value, n) and n[0] != "_"})
    attributes = dict(getattr(value, "__dict__", {}))
    parts.append({n: state(v, seen) for n, v in attributes.items() if n != "__orig_class__"})
    parts.append(attributes.get("__orig_class__"))
    parts.append(getattr(value, "__pydantic_private__", None))
    return parts

@nb.job("kinds", on_change="ignore")
def kinds(io: nb.SyncIO):
    found = {}
    for name, text in KINDS.items():
        try:
            value = io.run_task(name, lambda: eval(text, globals()))
        except Exception as error:
            found[name] = f"{type(error).__name__}: {error}"
            continue
        if VERSION == 1: continue
        expected = eval(text, globals())
        if state(value) != state(expected): found[name] = f"{state(value)!r} is not {state(expected)!r}"
        elif getattr(value, "seen", None) and isinstance(value, type) is False and value.seen() != VERSION:
            found[name] = "its method is not that of today"
    print(json.dumps(found))
    sys.stdout.flush()
    if VERSION == 1: os.kill(os.getpid(), signal.SIGKILL)
kinds.run()
if VERSION == 2: print(json.dumps(nb.tasks().query("not reused").path.tolist()))
"""

#: A notebook that reads what it has recorded, after it has changed, and looks at itself.
NOTEBOOK = """
import enum, functools, sys
import nbtasks as nb
nb.configure(tree=False)

RATE = 1
REGISTRY = []
class Plain:
    made = 0
    def __init_subclass__(cls): REGISTRY.append(cls)
    def rate(self): return RATE
class Child(Plain): pass
class Color(enum.Enum): RED = 1
def rate(): return RATE
def make_local():
    class Local:
        counted = 0
        def rate(self): return RATE
    return Local
Local_ = make_local()
class OfLocal(make_local()): pass
VALUES = {
    "instance": Plain(), "child": Child(), "method": Plain().rate, "function": rate, "lambda": lambda: (RATE, Plain),
    "partial": functools.partial(rate), "class": Plain, "local class": Local_, "local": Local_(), "of local": OfLocal(),
    "member": [Color.RED, {Color.RED: Plain()}], "closure": (lambda kind: lambda: kind())(Local_),
}
@nb.job("values", on_change="ignore")
def values(io: nb.SyncIO):
    return [io.run_task(name, lambda: value) for name, value in VALUES.items()]
run = values.run()

# changed after the recording, as by a cell that was run again
RATE = 2
Plain.made = Local_.counted = 7
Plain.rate = lambda self: "patched"

def picture():
    names = {k: v for k, v in globals().items() if k not in ("before", "after")}
    kinds = [v for v in (*names.values(), Local_, *OfLocal.__mro__) if isinstance(v, type) and v is not object]
    return (
        {k: id(v) for k, v in names.items()}, len(REGISTRY), list(sys.modules), rate.__globals__ is globals(),
        [(kind, {n: id(m) for n, m in vars(kind).items() if n not in ("__doc__",)}) for kind in kinds],
        {k: id(v) for k, v in vars(rate).items()},
    )
def read():
    for name in VALUES: run[name]
    nb.tasks(outputs=True); nb.runs(); repr(run); run.output
    values.run()
    values.run(replay="only")
    return True
read()  # what a library loads when it is first used
before = picture()
read()
after = picture()
assert before == after, (before, after)
assert type(run["instance"]) is Plain and run["instance"].rate() == "patched"
assert run["class"] is Plain and run["local class"] is Local_ and type(run["local"]) is Local_
assert type(run["of local"]) is OfLocal and run["member"][0] is Color.RED
assert run["method"]() == "patched" and type(run["method"].__self__) is Plain
assert run["function"] is rate and run["partial"].func is rate  # not changed since
assert run["lambda"]() == (1, Plain)  # the code and the globals as they were
assert type(run["closure"]()) is Local_
"""
