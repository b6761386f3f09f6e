// Writes the snapshots that the fuzzer starts from: seed_snapshots FOLDER
#include <cstdio>
#include <string>

#include "kinds.hpp"

int main(int argc, char** argv) {
  using namespace mujigae;
  if (argc != 2) return std::fprintf(stderr, "usage: seed_snapshots FOLDER\n"), 2;
  for (std::size_t k = 0; k < kinds().size(); ++k) {
    const Kind& kind = kinds()[k];
    const std::string letter(1, static_cast<char>('a' + k));
    for (const std::int64_t num_steps : {0, 1, 3, 20}) {
      with_empty_buffer(kind, [&](auto& buffer) {
        play(buffer, kind, k, num_steps);
        if (buffer.size() > 0) draw(buffer, kind);
        buffer.save(std::string(argv[1]) + "/" + letter + "-" + std::to_string(num_steps), letter);
        buffer.clear();
        if (num_steps == 3) buffer.save(std::string(argv[1]) + "/" + letter + "-cleared", letter);
      });
    }
  }
}
