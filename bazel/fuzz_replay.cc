// SPDX-License-Identifier: GPL-3.0-or-later
//
// The main function of a fuzz target that is not built with libFuzzer: runs the
// target on the files that the command line names, and on mutations of them
// that are the same in each run.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <utility>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr int kMutatedInputs = 20000;
constexpr int kMaxEditsPerInput = 8;
constexpr size_t kMaxInputBytes = 4096;

void Run(const std::string& input) {
  // A copy of exactly this size, so that AddressSanitizer sees a read past it.
  const std::vector<uint8_t> data(input.begin(), input.end());
  LLVMFuzzerTestOneInput(data.data(), data.size());
}

class Mutator {
 public:
  explicit Mutator(std::vector<std::string> corpus)
      : corpus_(std::move(corpus)) {}

  std::string Next() {
    std::string input = corpus_[Below(corpus_.size())];
    for (size_t edits = 1 + Below(kMaxEditsPerInput); edits > 0; --edits) {
      Edit(input);
    }
    if (input.size() > kMaxInputBytes) input.resize(kMaxInputBytes);
    return input;
  }

 private:
  // Not std::uniform_int_distribution: its results differ between libraries.
  size_t Below(size_t limit) { return random_() % limit; }

  void Edit(std::string& input) {
    const size_t position = Below(input.size() + 1);
    switch (Below(5)) {
      case 0:
        input.insert(position, 1, static_cast<char>(Below(256)));
        break;
      case 1:
        input.erase(position, 1 + Below(8));
        break;
      case 2:
        if (position < input.size()) {
          input[position] = static_cast<char>(input[position] ^ 1 << Below(8));
        }
        break;
      case 3:
        input.insert(position, input.substr(Below(input.size() + 1), 16));
        break;
      case 4: {
        const std::string& other = corpus_[Below(corpus_.size())];
        input.replace(position, std::string::npos,
                      other.substr(Below(other.size() + 1)));
        break;
      }
    }
  }

  const std::vector<std::string> corpus_;
  std::mt19937_64 random_;  // Of the default seed, so always the same.
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> corpus = {""};
  for (int i = 1; i < argc; ++i) {
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", argv[i]);
      return 1;
    }
    corpus.emplace_back(std::istreambuf_iterator<char>(file),
                        std::istreambuf_iterator<char>());
  }
  for (const std::string& input : corpus) Run(input);
  Mutator mutator(std::move(corpus));
  for (int i = 0; i < kMutatedInputs; ++i) Run(mutator.Next());
}
