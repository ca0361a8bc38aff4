#include "cuda_host.h"
//
#include "cases.h"
#include "common/with_format.h"
#include "cuda/relu/key_binner.h"
#include "cuda/relu/linear_guesser.h"

using namespace relustat;
using namespace relustat::cuda;

namespace {

struct Found {
  int64_t wrong = 0;
  int64_t slow = 0;  // numbers that leave the fast way
};

// Calls look(bits, slot, found) for numbers [begin, end) of a format, as their bits count them, on
// all processors; `slot` is found by a search among the edges.
template <class Format, class Look>
Found for_each_number(const SearchBinner<float>& search, int64_t begin, int64_t end,
                      const Look& look) {
  const int64_t parts = std::thread::hardware_concurrency();
  std::vector<Found> found(parts);
  std::vector<std::thread> threads;
  for (int64_t part = 0; part < parts; ++part) {
    threads.emplace_back([&, part] {
      Found mine;
      const int64_t last = begin + (end - begin) * (part + 1) / parts;
      for (int64_t i = begin + (end - begin) * part / parts; i < last; ++i) {
        const auto bits = static_cast<typename Format::Bits>(i);
        const float x = Format::value(bits);
        if (x == x) look(bits, search.slot(x), mine);
      }
      found[part] = mine;
    });
  }
  for (std::thread& thread : threads) thread.join();
  Found all;
  for (const Found& part : found) {
    all.wrong += part.wrong;
    all.slow += part.slow;
  }
  return all;
}

template <class Format>
Found look_at_keys(const SearchBinner<float>& search, int64_t begin, int64_t end) {
  const auto keys = KeyBinner<Format>::make(search.edges, search.bins, 12);
  return for_each_number<Format>(search, begin, end, [&](auto bits, int32_t slot, Found& found) {
    const bool is_key = keys.is_key(bits);
    const auto moved = static_cast<uint32_t>(keys.moved(bits));
    found.wrong += slot != (is_key ? keys.slot_of_key(moved >> keys.shift) : keys.slot(bits));
    found.slow += !is_key;
  });
}

template <class Format>
Found look_at_guesses(const SearchBinner<float>& search, int64_t begin, int64_t end) {
  const auto binner = make_binner<float, Binning::kLinear>(search.edges, search.bins);
  LinearGuesser guesser = LinearGuesser::exact(binner);
  for (int32_t edge = 0; edge <= search.bins; ++edge) {
    if (!binner.guesses || !guesser.is_right_beside<Format>(search.edges, edge)) {
      guesser = LinearGuesser::careful(binner);
      break;
    }
  }
  return for_each_number<Format>(search, begin, end, [&](auto bits, int32_t slot, Found& found) {
    float how_far;
    const uint32_t guess = guesser.guess(Format::value(bits), how_far);
    const bool is_doubtful = how_far < guesser.doubtful;
    found.wrong += !is_doubtful && guess != LinearGuesser::kFirst + slot;
    found.slow += is_doubtful;
  });
}

}  // namespace

// Buffers: edges, and the numbers that are wrong, and that are slow.
void run_every_number(Case& call) {
  const auto dtype = static_cast<Dtype>(call.take());
  const auto binning = static_cast<Binning>(call.take());
  const SearchBinner<float> search{static_cast<const float*>(call.buffer(0)),
                                   static_cast<int32_t>(call.take())};
  const int64_t begin = call.take(), end = call.take();
  auto* const result = static_cast<int64_t*>(call.buffer(1));
  with_format(dtype, [&]<class Format>() {
    if constexpr (sizeof(typename Format::Bits) <= sizeof(float)) {
      const Found found = binning == Binning::kLog ? look_at_keys<Format>(search, begin, end)
                                                   : look_at_guesses<Format>(search, begin, end);
      result[0] = found.wrong;
      result[1] = found.slow;
    }
  });
}
