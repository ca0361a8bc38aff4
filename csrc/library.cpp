#include <torch/library.h>

// Every op of the package. Kernels register themselves beside their code: cpu/, cuda/, autograd/.
TORCH_LIBRARY(relustat, m) {
  m.set_python_module("relustat._ops");

  // counters: see counters.h. edges: float32 [bins + 1], or empty. binning: see binning.h.
  m.def(
      "counting_relu(Tensor x, Tensor(a!) counters, Tensor edges, int unit_dim, int binning) "
      "-> Tensor",
      {at::Tag::pt2_compliant_tag});
  m.def(
      "counting_relu_(Tensor(a!) x, Tensor(b!) counters, Tensor edges, int unit_dim, int binning) "
      "-> ()",
      {at::Tag::pt2_compliant_tag});
}
