// A snapshot from outside: where its sections lie, and their lengths and checksums made right again after a change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "mujigae/storage/crc32.hpp"

namespace mujigae {

constexpr std::size_t kFileHead = 16, kSectionHead = 16, kChecksum = 4;

template <class T>
T value_at(const std::byte* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

struct Section {
  std::size_t start, length;  // of the head; of the payload

  std::size_t payload() const { return start + kSectionHead; }
};

// As far as the lengths are believable.
inline std::vector<Section> sections(std::span<const std::byte> snapshot) {
  std::vector<Section> found;
  for (std::size_t start = kFileHead; snapshot.size() >= start + kSectionHead + kChecksum;) {
    const auto length = value_at<std::uint64_t>(snapshot.data() + start + 4);
    if (length > snapshot.size() - start - kSectionHead - kChecksum) break;
    found.push_back({start, static_cast<std::size_t>(length)});
    start += kSectionHead + static_cast<std::size_t>(length) + kChecksum;
  }
  return found;
}

inline void put_checksum(std::span<std::byte> bytes) {  // of all before it, into the last four
  const std::uint32_t crc = crc32(bytes.first(bytes.size() - kChecksum));
  std::memcpy(bytes.data() + bytes.size() - kChecksum, &crc, sizeof crc);
}

inline void mend_checksums(std::span<std::byte> snapshot) {
  put_checksum(snapshot.first(kFileHead));
  for (const Section& section : sections(snapshot)) {
    put_checksum(snapshot.subspan(section.start, kSectionHead));
    put_checksum(snapshot.subspan(section.payload(), section.length + kChecksum));
  }
}

// The n-th section of that tag.
inline Section section_of(std::span<const std::byte> snapshot, const std::string& tag, std::size_t n = 0) {
  for (const Section& section : sections(snapshot)) {
    if (std::memcmp(snapshot.data() + section.start, tag.data(), 4) == 0 && n-- == 0) return section;
  }
  throw std::logic_error("no section " + tag);
}

// The same with another value at an index of a section's payload, and right checksums.
template <class T>
std::vector<std::byte> with_value(std::vector<std::byte> snapshot, const std::string& tag, std::size_t index, T value) {
  const Section section = section_of(snapshot, tag);
  std::memcpy(snapshot.data() + section.payload() + index * sizeof value, &value, sizeof value);
  mend_checksums(snapshot);
  return snapshot;
}

// The same with another payload.
inline std::vector<std::byte> with_payload(std::vector<std::byte> snapshot, const std::string& tag, std::span<const std::byte> payload) {
  const Section section = section_of(snapshot, tag);
  const auto begin = snapshot.begin() + static_cast<std::ptrdiff_t>(section.payload());
  const auto end = snapshot.erase(begin, begin + static_cast<std::ptrdiff_t>(section.length));
  snapshot.insert(end, payload.begin(), payload.end());
  const std::uint64_t length = payload.size();
  std::memcpy(snapshot.data() + section.start + 4, &length, sizeof length);
  mend_checksums(snapshot);
  return snapshot;
}

// The same with a payload of another size: cut off, or with zeros behind it.
inline std::vector<std::byte> with_size(const std::vector<std::byte>& snapshot, const std::string& tag, std::size_t size) {
  const Section section = section_of(snapshot, tag);
  const auto begin = snapshot.begin() + static_cast<std::ptrdiff_t>(section.payload());
  std::vector<std::byte> payload(begin, begin + static_cast<std::ptrdiff_t>(section.length));
  payload.resize(size);
  return with_payload(snapshot, tag, payload);
}

}  // namespace mujigae
