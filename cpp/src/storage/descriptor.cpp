#include "mujigae/storage/descriptor.hpp"

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "mujigae/storage/system.hpp"

namespace mujigae {
namespace {

#if defined(_WIN32)
constexpr const char* kSlashes = "/\\";
#else
constexpr const char* kSlashes = "/";
#endif

}  // namespace

Descriptor::~Descriptor() {
  if (number_ >= 0) system::close(number_);
}

void fail_system(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of(kSlashes);
  if (slash == std::string::npos) return ".";
  return path.substr(0, std::max<std::size_t>(slash, 1));
}

}  // namespace mujigae
