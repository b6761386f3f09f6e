#include "mujigae/storage/aside_file.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <filesystem>

#include "mujigae/check.hpp"
#include "mujigae/storage/system.hpp"

namespace mujigae {
namespace {

// Where the file will stand: what a link points to, and never the place of a device, a pipe or a folder.
std::string place_of(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(system::path_of(path), error);
  if (!std::filesystem::exists(status)) return path;  // a new name
  if (!std::filesystem::is_regular_file(status)) {
    errno = std::filesystem::is_directory(status) ? EISDIR : EINVAL;
    fail_system("expected a regular file or a new name, got " + path);
  }
  const std::filesystem::path real = std::filesystem::canonical(system::path_of(path), error);
  return error ? path : system::utf8_of(real);
}

// NAME.digits-digits.tmp, which is how the constructor names them.
bool is_aside_name(const std::string& file, const std::string& name) {
  constexpr const char* kEnd = ".tmp";
  if (file.size() < name.size() + 8 || !file.starts_with(name + ".") || !file.ends_with(kEnd)) return false;
  const std::string numbers = file.substr(name.size() + 1, file.size() - name.size() - 5);
  return numbers.find_first_not_of("0123456789-") == std::string::npos && numbers.find('-') != std::string::npos;
}

void remove_if_abandoned(const std::string& path) {
  const Descriptor file(system::open_to_write(path, false));
  if (file && system::lock(*file, false)) system::remove(path);
}

void remove_abandoned(const std::string& path) {
  const std::string name = system::utf8_of(system::path_of(path).filename());
  std::error_code error;  // creating the file will say why
  const std::filesystem::directory_iterator end;
  for (std::filesystem::directory_iterator file(system::path_of(folder_of(path)), error); !error && file != end; file.increment(error)) {
    if (is_aside_name(system::utf8_of(file->path().filename()), name)) remove_if_abandoned(system::utf8_of(file->path()));
  }
}

// Whether the file is ours: nobody took it for an abandoned one before it was locked.
bool lock_new(int file) { return (system::lock(file, false) || errno != EWOULDBLOCK) && system::has_name(file); }

}  // namespace

AsideFile::AsideFile(const std::string& path) : path_(place_of(path)) {
  static std::atomic<std::uint64_t> num_files = 0;
  remove_abandoned(path_);
  while (true) {
    name_ = concat(path_, ".", system::process_id(), "-", num_files++, ".tmp");
    file_ = Descriptor(system::create_to_write(name_));
    if (!file_ && errno != EEXIST) fail_system("cannot create " + name_);
    if (file_ && lock_new(*file_)) return;
  }
}

AsideFile::~AsideFile() {
  if (!has_place_) system::remove(name_);
}

void AsideFile::take_place(bool may_replace) {
  if (!system::sync(*file_)) fail_system("cannot sync " + name_);
  if (!(may_replace ? system::rename_over(name_, path_) : system::rename_new(name_, path_))) {
    fail_system((may_replace ? "cannot rename to " : "cannot create ") + path_);
  }
  has_place_ = true;
  system::sync_folder(folder_of(path_));
}

void AsideFile::replace() { take_place(true); }

void AsideFile::publish() { take_place(false); }

}  // namespace mujigae
