#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// Runs a harness, compiled without a fuzzer, on inputs that come as lines of hexadecimal digits.
int main() {
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    std::cerr << "line " << number << std::endl;
    std::vector<uint8_t> bytes;
    for (size_t i = 0; i + 1 < line.size(); i += 2) {
      bytes.push_back(static_cast<uint8_t>(std::stoi(line.substr(i, 2), nullptr, 16)));
    }
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
  }
}
