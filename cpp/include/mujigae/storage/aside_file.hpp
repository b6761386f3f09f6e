// A file that is written beside its place and takes its name only when it is complete.
//
//   path.PID-N.tmp  --replace-->  path        an older file of that name goes
//                   --publish-->  path        an older file of that name stays, and is an error
//
// A path that is a link means the file behind it; what is neither a regular file nor a new name is refused.
// It is new (O_EXCL) and locked while it is written. One that nobody has locked was left behind by a killed process: it is
// removed by the next AsideFile for the same path, if it is empty or begins as ours do. The file of a buffer that is open is not
// replaced (EWOULDBLOCK): what is added to it afterwards would be lost. Who may read the older file may read the new one.
// Throws std::system_error. Threads: none; the owner locks.
#pragma once

#include <array>
#include <string>

#include "mujigae/storage/descriptor.hpp"

namespace mujigae {

inline constexpr std::array<char, 8> kMagic = {'M', 'U', 'J', 'I', 'G', 'A', 'E', '\n'};  // what every file of ours begins with

class AsideFile {
 public:
  explicit AsideFile(const std::string& path);
  ~AsideFile();  // neither replaced nor published: the file goes
  AsideFile(const AsideFile&) = delete;
  AsideFile& operator=(const AsideFile&) = delete;

  void replace();
  void publish();
  Descriptor release() { return std::move(file_); }  // the lock goes with it

  int descriptor() const { return *file_; }
  const std::string& name() const { return name_; }

 private:
  void take_place(bool may_replace);

  std::string path_, name_;
  Descriptor file_;
  bool has_place_ = false;
};

}  // namespace mujigae
