#include <torch/library.h>

#include <vector>

namespace {

// They take tensors in any layout, so the compiler need not keep that of eager code.
const std::vector<at::Tag> kTags{at::Tag::pt2_compliant_tag, at::Tag::flexible_layout};

}  // namespace

// Every op of the package. Kernels register themselves beside their code: cpu/, cuda/, autograd/.
TORCH_LIBRARY(relustat, m) {
  m.set_python_module("relustat.ops.library");

  // counters: see relu/counters.h. edges: float32 [bins + 1], or empty. binning: see
  // relu/binning.h. mask: bool, in a size that expands to that of x without its unit dimension;
  // where it is false, nothing is counted. blocks: int64 [2], what a counted call adds to the
  // blocks of units and to those that are all 0.
  m.def(
      "counting_relu(Tensor x, Tensor(a!) counters, Tensor edges, int unit_dim, int binning, "
      "Tensor? mask=None, Tensor? blocks=None) -> Tensor",
      kTags);
  m.def(
      "counting_relu_(Tensor(a!) x, Tensor(b!) counters, Tensor edges, int unit_dim, int binning, "
      "Tensor? mask=None, Tensor? blocks=None) -> ()",
      kTags);

  // The relatives of ReLU: activation, first and second are those of relu/family.h. slopes: of
  // PReLU, in a size that expands to that of x. The rest is as for counting_relu.
  m.def(
      "counting_activation(Tensor x, Tensor(a!) counters, Tensor edges, int unit_dim, int binning, "
      "int activation, float first, float second, Tensor? slopes=None, Tensor? mask=None, "
      "Tensor? blocks=None) -> Tensor",
      kTags);
  m.def(
      "counting_activation_(Tensor(a!) x, Tensor(b!) counters, Tensor edges, int unit_dim, "
      "int binning, int activation, float first, float second, Tensor? mask=None, "
      "Tensor? blocks=None) -> ()",
      kTags);
  // Counts a call that is computed elsewhere. output: what it gave, if that is looked at.
  m.def(
      "count_activation(Tensor x, Tensor? output, Tensor(a!) counters, Tensor edges, int unit_dim, "
      "int binning, int activation, float first, float second, Tensor? mask=None, "
      "Tensor? blocks=None) -> ()",
      kTags);

  // Writes the gradient of x over that of the output.
  m.def("counting_relu_backward_(Tensor(a!) gradient, Tensor output) -> ()", kTags);

  // A hash of the elements above 0 of each sample: see activation/key.h. x: [samples, ...].
  // The result: int64 [samples].
  m.def("activation_hash(Tensor x, int salt) -> Tensor", kTags);

  // A pooling has one number for each of its one to three axes. offsets: the position of each
  // maximum in its window; uint8, or int16 if a window has more than 256 cells.
  m.def(
      "max_pool(Tensor x, int[] kernel_size, int[] stride, int[] padding, int[] dilation, "
      "bool ceil_mode) -> (Tensor y, Tensor offsets)",
      kTags);
  // max_pool of counting_relu, in one pass over x.
  m.def(
      "relu_max_pool(Tensor x, Tensor(a!) counters, Tensor edges, int unit_dim, int binning, "
      "Tensor? mask, Tensor? blocks, int[] kernel_size, int[] stride, int[] padding, "
      "int[] dilation, bool ceil_mode) -> (Tensor y, Tensor offsets)",
      kTags);
  // input_size: the sizes of the pooled axes. overlap: see pool/window.h. A switch that is not a
  // cell of the input is an error; validate=False is for switches that are known to be right.
  m.def(
      "max_unpool(Tensor y, Tensor offsets, SymInt[] input_size, int[] kernel_size, int[] stride, "
      "int[] padding, int[] dilation, bool ceil_mode, int overlap, bool validate=True) -> Tensor",
      kTags);
  // The gradient of y. y itself is needed only if overlap is "max".
  m.def(
      "max_unpool_backward(Tensor gradient, Tensor? y, Tensor offsets, int[] kernel_size, "
      "int[] stride, int[] padding, int[] dilation, bool ceil_mode, int overlap) -> Tensor",
      kTags);
}
