// Runs the fuzzer's check over a folder of files, without libFuzzer: replay_corpus FOLDER
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t*, std::size_t size, std::size_t) { return size; }  // nothing mutates here
extern std::size_t num_loaded;

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: replay_corpus FOLDER\n"), 2;
  std::size_t num_files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    ++num_files;
  }
  std::printf("%zu files, %zu of them loaded\n", num_files, num_loaded);
  return num_loaded >= 20 ? 0 : 1;  // fewer: the format has moved on, and the corpus has to be made anew (cpp/README.md)
}
