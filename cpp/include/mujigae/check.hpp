// User errors. Every message names the argument, what was expected and what came.
//
// fail_value  -> std::invalid_argument  (ValueError in Python)
// fail_index  -> std::out_of_range      (IndexError in Python)
//
// Nothing is changed before the last check of a call has passed.
#pragma once

#include <limits>
#include <sstream>
#include <stdexcept>
#include <string>

namespace mujigae {

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream stream;
  stream.precision(std::numeric_limits<double>::max_digits10);
  (stream << ... << parts);
  return stream.str();
}

template <class... Parts>
[[noreturn]] void fail_value(const Parts&... parts) {
  throw std::invalid_argument(concat(parts...));
}

template <class... Parts>
[[noreturn]] void fail_index(const Parts&... parts) {
  throw std::out_of_range(concat(parts...));
}

}  // namespace mujigae
