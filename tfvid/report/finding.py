"""A finding: a question to an experiment, with its answer."""

from dataclasses import asdict, dataclass

from tfvid.report.markdown import plain

WORDS = {True: "yes", False: "no", None: "undecided"}


@dataclass(frozen=True)
class Finding:
    """A question that an experiment answers.

    Attributes:
      question: one sentence.
      answer: one or more sentences with the numbers.
      holds: True for yes, False for no, None for undecided.
    """

    question: str
    answer: str
    holds: bool | None

    def to_dict(self) -> dict:
        """The entry of ``report.json``."""
        return asdict(self)

    @property
    def word(self) -> str:
        """The word of the answer: "yes", "no" or "undecided"."""
        return WORDS[self.holds]

    def markdown(self) -> str:
        """The finding in one line of Markdown."""
        return f"{plain(self.question)} **{self.word.capitalize()}.** {plain(self.answer)}"
