"""What two descriptions beside Paddle 1's parameters say: the names in ``__model__``, the module's name.

Both are Protocol Buffers: a ``ProgramDesc`` of Paddle's ``framework.proto``, and a ``ModuleDesc`` of
PaddleHub 1's ``module_desc.proto``. The program in the first is never run.
"""

from hubtune.storage.fluid.protobuf import messages, read_fields

PROGRAM_FILE = "__model__"
DESCRIPTION_FILE = "module_desc.pb"

# Types of variables that are saved: others are feed and fetch lists, readers and the like.
_DENSE_TENSOR = 7


def parameter_names(program: bytes) -> list[str]:
    """Return the names of a program's persistent variables, sorted, as in a file that holds all of them.

    Raises:
        ValueError: the program is damaged.
    """
    names = set()
    for block in messages(program, 1):
        for variable in messages(block, 3):
            fields = dict(read_fields(variable))
            name, kind, persistent = fields.get(1), fields.get(2), fields.get(3)
            if not isinstance(name, bytes) or not isinstance(kind, bytes):
                raise ValueError("a variable lacks its name or type")
            if persistent == 1 and dict(read_fields(kind)).get(1) == _DENSE_TENSOR:
                names.add(name.decode())
    return sorted(names)


def module_name(description: bytes) -> str | None:
    """Return the name in a PaddleHub 1 module's description; ``None`` if it has none.

    Raises:
        ValueError: the description is damaged.
    """
    for attributes in messages(description, 3):
        for info in _entries(attributes, "module_info"):
            for name in _entries(info, "name"):
                for text in messages(name, 5):
                    return text.decode()
    return None


def _entries(attribute: bytes, key: str) -> list[bytes]:
    """Return the values under a key of an attribute that is a map."""
    found = []
    for table in messages(attribute, 6):
        for entry in messages(table, 2):
            if messages(entry, 1) == [key.encode()]:
                found += messages(entry, 2)
    return found
