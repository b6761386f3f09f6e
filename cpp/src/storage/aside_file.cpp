#include "mujigae/storage/aside_file.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <thread>

#include "mujigae/check.hpp"
#include "mujigae/storage/system.hpp"

namespace mujigae {
namespace {

// Where the file will stand: what a link points to, and never the place of a device, a pipe or a folder.
std::string place_of(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(system::path_of(path), error);
  if (!std::filesystem::exists(status)) {
    const std::filesystem::path target = std::filesystem::read_symlink(system::path_of(path), error);
    const bool is_dangling = !error && status.type() == std::filesystem::file_type::not_found;  // and no link in a circle
    return is_dangling ? place_of(system::utf8_of(system::path_of(path).parent_path() / target)) : path;
  }
  if (!std::filesystem::is_regular_file(status)) {
    errno = std::filesystem::is_directory(status) ? EISDIR : EINVAL;
    fail_system("expected a regular file or a new name, got " + path);
  }
  const std::filesystem::path real = std::filesystem::canonical(system::path_of(path), error);
  return error ? path : system::utf8_of(real);
}

bool is_number(std::string_view text) { return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos; }

// NAME.digits-digits.tmp, which is how the constructor names them.
bool is_aside_name(const std::string& file, const std::string& name) {
  constexpr std::string_view kEnd = ".tmp";
  if (file.size() < name.size() + 1 + kEnd.size() || !file.starts_with(name + ".") || !file.ends_with(kEnd)) return false;
  const std::string_view numbers = std::string_view(file).substr(name.size() + 1, file.size() - name.size() - 1 - kEnd.size());
  const std::size_t dash = numbers.find('-');
  return dash != std::string_view::npos && is_number(numbers.substr(0, dash)) && is_number(numbers.substr(dash + 1));
}

// Nothing has been written yet, the head of a mapped file comes last, or it is there.
bool begins_as_ours(int file) {
  std::array<char, kMagic.size()> found = {};
  const std::ptrdiff_t count = system::read_at(file, std::as_writable_bytes(std::span(found)), 0);
  if (count < 0) return false;
  const std::string_view begin(found.data(), static_cast<std::size_t>(count));
  return begin == std::string_view(kMagic.data(), kMagic.size()).substr(0, begin.size()) ||
         begin.find_first_not_of('\0') == std::string_view::npos;
}

void remove_if_abandoned(const std::string& path) {
  const Descriptor file(system::open_to_write(path, false));
  if (file && system::lock(*file, false) && begins_as_ours(*file)) system::remove(path);
}

// A buffer holds its file as long as it is open; another save to the same path holds it for a moment, when it is done.
void check_is_not_in_use(const std::string& path) {
  const Descriptor file(system::kCanMapFiles ? system::open_to_read(path) : -1);
  if (!file) return;
  for (int attempt = 0; !system::lock(*file, true); ++attempt) {
    if (errno != EWOULDBLOCK) return;
    if (attempt == 100) fail_system("path: expected another file than that of a buffer that is open, got " + path);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
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
  check_is_not_in_use(path_);
  remove_abandoned(path_);
  do {
    name_ = concat(path_, ".", system::process_id(), "-", num_files++, ".tmp");
    file_ = Descriptor(system::create_to_write(name_));
    if (!file_ && errno != EEXIST) fail_system("cannot create " + name_);
  } while (!file_ || !lock_new(*file_));
  system::copy_mode(path_, *file_);
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
