"""The sections of a report, each of which answers one question in plain words.

To add one, write a `Section` and enter it in the table that ends the module.
"""

from skvae.report.sections.codes import Errors, Map, Meaning
from skvae.report.sections.columns import Columns
from skvae.report.sections.samples import Samples
from skvae.report.sections.section import Section
from skvae.report.sections.uses import Gaps, Odd, Target

SECTIONS: dict[str, Section] = {
    "columns": Columns(),
    "map": Map(),
    "errors": Errors(),
    "target": Target(),
    "gaps": Gaps(),
    "codes": Meaning(),
    "samples": Samples(),
    "odd": Odd(),
}
