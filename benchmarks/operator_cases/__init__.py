"""One small module per operator of the engine, with inputs of about 10^6 elements of its result."""

from operator_cases import arithmetic, attention, convolution, elementwise, images, indexing, movement, reductions
from operator_cases.case import Call as Call
from operator_cases.case import Case as Case

CASES: dict[str, Case] = {
    **arithmetic.CASES,
    **convolution.CASES,
    **elementwise.CASES,
    **images.CASES,
    **reductions.CASES,
    **movement.CASES,
    **indexing.CASES,
    **attention.CASES,
}
