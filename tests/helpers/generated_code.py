"""What Inductor makes of a model: the calls of its generated code, one after the other."""

import re

import torch
from torch._inductor.utils import run_and_get_code

OP = "torch.ops.relustat."


class Code:
    """One graph's code.

    Attributes:
        calls: its lines that call kernels, in order.
        whole: by the name of a buffer, that of the result of which it is a part.
    """

    def __init__(self, text):
        self.text = text
        body = text[text.index("def call(") : text.index("return (", text.index("def call("))]
        self.calls = [
            line.strip()
            for line in body.splitlines()
            if re.search(r"cpp_fused\w*\(|extern_kernels\.|torch\.ops\.", line)
            and not line.strip().startswith(("assert_", "#"))
        ]
        self.whole = dict(re.findall(r"(\w+) = (\w+)\[\d+\]", body))

    def of(self, op):
        """The buffers that an op is given first."""
        calls = [call for call in self.calls if f"{OP}{op}.default(" in call]
        return [re.search(rf"{op}\.default\((\w+)", call)[1] for call in calls]

    def makers_and_readers(self, op):
        """The calls just before and after each call of an op that name its first buffer."""
        for buffer in self.of(op):
            assert buffer != "reinterpret_tensor"
            names = rf"\b({buffer}|{self.whole.get(buffer, buffer)})\b"
            at = [i for i, call in enumerate(self.calls) if re.search(names, call)]
            here = next(i for i in at if f"{op}.default({buffer}," in self.calls[i])
            before, after = [i for i in at if i < here], [i for i in at if i > here]
            yield self.calls[before[-1]] if before else "", self.calls[after[0]] if after else ""

    @property
    def copies(self):
        """The kernels that copy what is not asked to be copied."""
        kernels = re.findall(r"cpp_fused\w*", "\n".join(self.calls))
        return [name for name in kernels if "clone" in name or "as_strided" in name]


def codes(run):
    """Runs something for the first time, and gives what it returns and the code of each graph."""
    with torch.compiler.config.patch(force_disable_caches=True):
        result, texts = run_and_get_code(run)
    return result, [Code(text) for text in texts]
