#include "fingerprint.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <cctype>

namespace imsdc {
namespace {

struct Hash {
  std::string_view name;
  const EVP_MD* (*function)();
  std::size_t bytes;
};

/** Weakest first. RFC 8122 5.1 forbids md2 and md5, so they are unknown here. */
constexpr std::array<Hash, 5> kHashes{{{"sha-1", EVP_sha1, 20},
                                       {"sha-224", EVP_sha224, 28},
                                       {"sha-256", EVP_sha256, 32},
                                       {"sha-384", EVP_sha384, 48},
                                       {"sha-512", EVP_sha512, 64}}};

std::optional<std::uint8_t> hexDigit(char character) {
  if (character >= '0' && character <= '9') return static_cast<std::uint8_t>(character - '0');
  const char lower = static_cast<char>(std::tolower(static_cast<unsigned char>(character)));
  if (lower >= 'a' && lower <= 'f') return static_cast<std::uint8_t>(lower - 'a' + 10);
  return std::nullopt;
}

std::optional<std::vector<std::uint8_t>> parseHex(std::string_view text, std::size_t bytes) {
  if (text.size() != 3 * bytes - 1) return std::nullopt;
  std::vector<std::uint8_t> digest;
  for (std::size_t index = 0; index < text.size(); index += 3) {
    const auto high = hexDigit(text[index]);
    const auto low = hexDigit(text[index + 1]);
    const bool separated = index + 2 == text.size() || text[index + 2] == ':';
    if (!high || !low || !separated) return std::nullopt;
    digest.push_back(static_cast<std::uint8_t>(*high << 4 | *low));
  }
  return digest;
}

std::vector<std::uint8_t> digestOf(const X509* certificate, const Hash& hash) {
  std::vector<std::uint8_t> digest(hash.bytes);
  unsigned int length = 0;
  if (X509_digest(certificate, hash.function(), digest.data(), &length) != 1) return {};
  return digest;
}

}  // namespace

bool FingerprintSet::add(std::string_view attribute) {
  const std::size_t space = attribute.find(' ');
  if (space == std::string_view::npos) return false;
  std::string name(attribute.substr(0, space));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char character) { return static_cast<char>(std::tolower(static_cast<unsigned char>(character))); });
  for (std::size_t index = 0; index < kHashes.size(); ++index) {
    if (kHashes[index].name != name) continue;
    auto digest = parseHex(attribute.substr(space + 1), kHashes[index].bytes);
    if (!digest) return false;
    entries_.push_back({static_cast<int>(index), std::move(*digest)});
  }
  return true;
}

bool FingerprintSet::matches(const X509* certificate) const {
  int strongest = -1;
  for (const Entry& entry : entries_) strongest = std::max(strongest, entry.strength);
  if (strongest < 0 || certificate == nullptr) return false;
  const std::vector<std::uint8_t> actual = digestOf(certificate, kHashes[static_cast<std::size_t>(strongest)]);
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& entry) {
    return entry.strength == strongest && entry.digest.size() == actual.size() &&
           CRYPTO_memcmp(entry.digest.data(), actual.data(), actual.size()) == 0;
  });
}

std::string fingerprintOf(const X509* certificate) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string text = "sha-256 ";
  for (const std::uint8_t byte : digestOf(certificate, kHashes[2])) {
    if (text.back() != ' ') text += ':';
    text += kHex[byte >> 4];
    text += kHex[byte & 0xf];
  }
  return text;
}

}  // namespace imsdc
