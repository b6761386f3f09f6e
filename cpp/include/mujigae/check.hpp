// User errors. Every message names the argument, what was expected and what came.
//
// fail_value  -> std::invalid_argument  (ValueError in Python)
// fail_index  -> std::out_of_range      (IndexError in Python)
//
// Nothing is changed before the last check of a call has passed.
#pragma once

#include <array>
#include <charconv>
#include <concepts>
#include <limits>
#include <stdexcept>
#include <string>
#include <string_view>

namespace mujigae {

inline void append_to(std::string& text, std::string_view part) { text += part; }
inline void append_to(std::string& text, std::integral auto part) { text += std::to_string(part); }
inline void append_to(std::string& text, double part) {  // in digits that no other double has
  std::array<char, 32> digits;
  constexpr int kPrecision = std::numeric_limits<double>::max_digits10;
  text.append(digits.data(), std::to_chars(digits.begin(), digits.end(), part, std::chars_format::general, kPrecision).ptr);
}

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::string text;
  (append_to(text, parts), ...);
  return text;
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
