// An open file that closes itself, and what every file needs. Errors are std::system_error (OSError in Python).
#pragma once

#include <string>
#include <utility>

namespace mujigae {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  ~Descriptor();

  int operator*() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_ = -1;
};

[[noreturn]] void fail_system(const std::string& what);  // what, and why: errno
std::string folder_of(const std::string& path);

}  // namespace mujigae
