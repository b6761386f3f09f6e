#include "mujigae/storage/descriptor.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace mujigae {

Descriptor::~Descriptor() {
  if (number_ >= 0) ::close(number_);
}

void fail_system(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return path.substr(0, std::max<std::size_t>(slash, 1));
}

void sync_folder_of(const std::string& path) {
  const Descriptor folder(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) ::fsync(*folder);  // the data is safe; a folder that cannot be opened cannot be synced
}

}  // namespace mujigae
