"""The checks by which something is learned, or nothing: what a request must say, what a program must explain."""

from __future__ import annotations

from tests.mutations.mutant import Mutant

TRIGGER, ALIGNMENT, INDUCTION, SPACE = (
    f"tenure/learn/{name}.py" for name in ("trigger", "alignment", "induction", "version_space")
)
READ = ("tests/unit/test_trigger.py", "tests/unit/test_slots.py")
INDUCED = (*READ, "tests/unit/test_induced_programs.py", "tests/unit/test_induction.py")
SPACED = ("tests/unit/test_expressions.py", *INDUCED[-1:])


def trigger(name: str, old: str, new: str) -> Mutant:
    return Mutant(f"trigger: {name}", TRIGGER, old, new, READ)


def aligned(name: str, old: str, new: str) -> Mutant:
    return Mutant(f"alignment: {name}", ALIGNMENT, old, new, INDUCED)


def induced(name: str, old: str, new: str) -> Mutant:
    return Mutant(f"induction: {name}", INDUCTION, old, new, INDUCED)


MUTANTS = (
    trigger("nothing is left over", "if end == len(tokens) and captured", "if captured"),
    trigger("one reading", "if len(found) == READINGS:", "if False:"),
    trigger("turning words", "vocabulary | TURNING", "vocabulary"),
    trigger("vocabulary", "or plain(token.text) in self.vocabulary", "or plain(token.text) in TURNING"),
    trigger("fixed value", "(part.fixed is not None and token.value != part.fixed)", "False"),
    trigger("length", "if part.length is not None and len(token.value) != part.length:", "if False:"),
    trigger("mark", "return part.mark is None or mark(token) == part.mark", "return True"),
    trigger("style", 'return style == "any" or styled(token.text) == style', "return True"),
    trigger("fewest words", "if end - at >= part.low:", "if True:"),
    trigger("most words", "min(at + part.high, len(self.tokens)) + 1", "len(self.tokens) + 1"),
    trigger("most items", "if sign and len(items) < part.high:", "if sign:"),
    trigger("the sign after the last", "elif not part.closed:", "else:"),
    trigger("a row is read to its end", "self.sequence(item.parts, at)", "self.sequence(item.parts[:-1], at)"),
    aligned("a constant value is seen often", "len(values) >= SURE", "len(values) >= 1"),
    aligned("a choice comes again", "len(column) >= 2 * len(said)", "True"),
    aligned("equally often", "all(other[key] == count for other in counts)", "all(other[key] for other in counts)"),
    aligned("every item of a list", "if items and all(items) else None", "if items else None"),
    aligned("every part of a row", "if len(told) < len(parts):", "if False:"),
    induced("enough runs", "if len(sound) < terms.minimum:", "if False:"),
    induced("four in five", "if explained < share * runs:", "if False:"),
    induced("no run contradicts it", 'if compared.verdict == "wrong" and', "if False and"),
    induced("nothing hides in a row", "isinstance(part, Repeated) and isinstance(part.item, Row)", "False"),
    induced("nothing hides in a place", "elif not is_aside(part):", "elif False:"),
    Mutant("induction: nobody's value", SPACE, "and is_impersonal(value)", "and True", SPACED),
    Mutant("induction: every example", SPACE, "if missing <= spared", "if True", SPACED),
)
