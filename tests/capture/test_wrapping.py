"""Replacing methods on an instance, and putting back what was found."""

from collections.abc import Callable

from querygauge.capture.wrapping import Wraps


class Owner:
    def method(self) -> str:
        """What will be replaced."""
        return "original"


def shout(original: Callable[..., str], is_off: list[bool]) -> Callable[..., str]:
    """A replacement that anybody can hear."""
    return lambda: original() if is_off else original().upper()


def test_restores_the_class_method() -> None:
    """A method that came from the class leaves no instance attribute behind."""
    owner = Owner()
    wraps = Wraps(owner)
    wraps.replace("method", shout)
    assert owner.method() == "ORIGINAL"
    wraps.restore()
    assert owner.method() == "original"
    assert "method" not in vars(owner)


def test_restores_an_instance_method() -> None:
    """A method somebody put on the instance before us is back afterwards."""
    owner = Owner()

    def theirs() -> str:
        return "theirs"

    owner.method = theirs  # type: ignore[method-assign]
    wraps = Wraps(owner)
    wraps.replace("method", shout)
    assert owner.method() == "THEIRS"
    wraps.restore()
    assert vars(owner)["method"] is theirs


def test_leaves_a_later_replacement_alone() -> None:
    """What somebody put over ours stays; ours below it becomes a pass-through."""
    owner = Owner()
    wraps = Wraps(owner)
    wraps.replace("method", shout)
    ours: Callable[[], str] = owner.method
    owner.method = lambda: ours() + "!"  # type: ignore[method-assign]
    wraps.restore()
    assert owner.method() == "original!"


def test_holds_its_owner_weakly() -> None:
    """Wrapping keeps nobody alive: the owner goes as it would have gone."""
    import gc
    from weakref import ref

    owner = Owner()
    wraps = Wraps(owner)
    wraps.replace("method", shout)
    gone = ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    wraps.restore()


def test_two_wraps_of_ours_may_be_taken_off_in_any_order() -> None:
    """The lower one, which could not be taken off, goes with the upper one."""
    owner = Owner()
    lower, upper = Wraps(owner), Wraps(owner)
    lower.replace("method", shout)
    upper.replace("method", shout)
    lower.restore()
    assert owner.method() == "ORIGINAL"
    upper.restore()
    assert owner.method() == "original"
    assert "method" not in vars(owner)
