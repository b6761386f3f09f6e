#include "mujigae/storage/aside_file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "mujigae/check.hpp"

namespace mujigae {
namespace {

// Where the file will stand: what a link points to, and never the place of a device, a pipe or a folder.
std::string place_of(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) != 0) return path;  // a new name
  if (!S_ISREG(status.st_mode)) {
    errno = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    fail_system("expected a regular file or a new name, got " + path);
  }
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  return real ? real.get() : path;
}

// NAME.digits-digits.tmp, which is how the constructor names them.
bool is_aside_name(const std::string& file, const std::string& name) {
  constexpr const char* kEnd = ".tmp";
  if (file.size() < name.size() + 8 || !file.starts_with(name + ".") || !file.ends_with(kEnd)) return false;
  const std::string numbers = file.substr(name.size() + 1, file.size() - name.size() - 5);
  return numbers.find_first_not_of("0123456789-") == std::string::npos && numbers.find('-') != std::string::npos;
}

void remove_if_abandoned(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (file && ::flock(*file, LOCK_EX | LOCK_NB) == 0) ::unlink(path.c_str());
}

void remove_abandoned(const std::string& path) {
  const std::string folder = folder_of(path), name = path.substr(path.rfind('/') + 1);
  const auto close = [](DIR* files) { ::closedir(files); };
  const std::unique_ptr<DIR, decltype(close)> files(::opendir(folder.c_str()), close);
  if (!files) return;  // creating the file will say why
  while (const dirent* file = ::readdir(files.get())) {
    if (is_aside_name(file->d_name, name)) remove_if_abandoned(folder + "/" + file->d_name);
  }
}

// Whether the file is ours: nobody took it for an abandoned one before it was locked.
bool lock_new(int file) {
  struct stat status;
  if (::flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) return false;
  return ::fstat(file, &status) == 0 && status.st_nlink > 0;
}

}  // namespace

AsideFile::AsideFile(const std::string& path) : path_(place_of(path)) {
  static std::atomic<std::uint64_t> num_files = 0;
  remove_abandoned(path_);
  while (true) {
    name_ = concat(path_, ".", ::getpid(), "-", num_files++, ".tmp");
    file_ = Descriptor(::open(name_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!file_ && errno != EEXIST) fail_system("cannot create " + name_);
    if (file_ && lock_new(*file_)) return;
  }
}

AsideFile::~AsideFile() {
  if (!has_place_) ::unlink(name_.c_str());
}

void AsideFile::take_place(bool may_replace) {
  if (::fsync(*file_) != 0) fail_system("cannot sync " + name_);
  if (may_replace ? ::rename(name_.c_str(), path_.c_str()) != 0 : ::link(name_.c_str(), path_.c_str()) != 0) {
    fail_system((may_replace ? "cannot rename to " : "cannot create ") + path_);
  }
  if (!may_replace) ::unlink(name_.c_str());
  has_place_ = true;
  sync_folder_of(path_);
}

void AsideFile::replace() { take_place(true); }

void AsideFile::publish() { take_place(false); }

}  // namespace mujigae
