// The fuzzer without libFuzzer: mutates the files of a folder and checks each as fuzz_snapshot does.
//
//   mutate_corpus FOLDER COUNT SEED     the same cases for the same arguments; run it under a sanitizer
//
// A case that is found stays in the file `mutate_corpus.case` of the current folder, written before it is tried.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t max_size, unsigned seed);
extern std::size_t num_loaded;

namespace {

using Bytes = std::vector<std::uint8_t>;
constexpr std::size_t kMaxBytes = 8192;

std::mt19937_64& random_of_bytes() {
  static std::mt19937_64 random;
  return random;
}

std::vector<Bytes> read_all(const char* folder) {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  std::vector<Bytes> files;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    Bytes bytes{std::istreambuf_iterator<char>(file), {}};
    if (bytes.size() <= kMaxBytes) files.push_back(std::move(bytes));
  }
  return files;
}

}  // namespace

// Bytes change, go, come or are repeated.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size) {
  std::mt19937_64& random = random_of_bytes();
  const std::size_t at = size > 0 ? random() % size : 0, count = size > 0 ? std::min<std::size_t>(1 + random() % 16, size - at) : 0;
  switch (random() % 4) {
    case 0: std::copy(data + at + count, data + size, data + at); return size - count;
    case 1:
      if (size + count > max_size) return size;
      std::copy_backward(data + at, data + size, data + size + count);
      return size + count;
    case 2:
      if (size > 0) data[at] = static_cast<std::uint8_t>(1U << random() % 8 ^ data[at]);
      return size;
    default: std::generate(data + at, data + at + count, [&] { return static_cast<std::uint8_t>(random()); }); return size;
  }
}

int main(int argc, char** argv) {
  if (argc != 4) return std::fprintf(stderr, "usage: mutate_corpus FOLDER COUNT SEED\n"), 2;
  const std::vector<Bytes> files = read_all(argv[1]);
  const unsigned long long count = std::strtoull(argv[2], nullptr, 10);
  std::mt19937_64 random(std::strtoull(argv[3], nullptr, 10));
  random_of_bytes().seed(random());
  for (unsigned long long i = 0; i < count; ++i) {
    Bytes bytes = files[random() % files.size()];
    std::size_t size = bytes.size();
    bytes.resize(kMaxBytes);
    for (std::uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
      size = LLVMFuzzerCustomMutator(bytes.data(), size, kMaxBytes, static_cast<unsigned>(random()));
    }
    std::ofstream("mutate_corpus.case", std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(size));
    LLVMFuzzerTestOneInput(bytes.data(), size);
  }
  std::remove("mutate_corpus.case");
  std::printf("%llu cases, %zu of them loaded\n", count, num_loaded);
  return num_loaded * 50 >= count ? 0 : 1;  // fewer: the corpus is of another format
}
