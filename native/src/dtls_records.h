#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "dtls_context.h"

namespace imsdc {

enum class RecordType : std::uint8_t { changeCipherSpec = 20, alert = 21, handshake = 22, content = 23 };

/** A record as it stands in a datagram (RFC 6347 4.1). */
struct DtlsRecord {
  RecordType type;
  std::uint16_t epoch;
  std::uint64_t sequence;  // 48 bits
  std::span<std::uint8_t> bytes;  // header included
};

/**
 * The next record of `datagram`, which is shortened by it; nothing when what is left is not a whole record.
 *
 * | type 1 | version 2 | epoch 2 | sequence number 6 | length 2 | fragment |
 */
std::optional<DtlsRecord> nextRecord(std::span<std::uint8_t>& datagram);

/** RFC 6347 4.1.2.6: which of the last 64 sequence numbers have been seen. */
class ReplayWindow {
 public:
  [[nodiscard]] bool fresh(std::uint64_t sequence) const;
  void mark(std::uint64_t sequence);

 private:
  std::uint64_t next_ = 0;  // one above the highest seen
  std::uint64_t seen_ = 0;  // bit n: next_ - 1 - n
};

/**
 * Protection of the records of one established DTLS 1.2 connection, with the keys that OpenSSL has negotiated and with
 * OpenSSL's ciphers. After the handshake an SSL object only costs: it keeps 33 KB of buffers, and its record layer goes
 * through a dozen parameter lists per record. What is left of DTLS then is this class (decision 0006).
 */
class DtlsRecords {
 public:
  /** Nothing when the cipher is none of ours. `sent`: records that OpenSSL has already sent in epoch 1. */
  static std::unique_ptr<DtlsRecords> take(SSL* ssl, bool client, std::uint64_t sent);

  static constexpr std::size_t kHeaderBytes = 13;
  static constexpr std::size_t kMaxOverheadBytes = kHeaderBytes + 8 + 16;

  /**
   * Writes one record to `out`, which has room for the content and kMaxOverheadBytes; returns its size. 0: it does
   * not fit, or the sequence numbers are used up, and nothing is sent under these keys any more.
   */
  std::size_t seal(RecordType type, std::span<const std::uint8_t> content, std::span<std::uint8_t> out);
  /** Decrypts in place; nothing: not of epoch 1, seen before, or not authentic. */
  std::optional<std::span<std::uint8_t>> open(const DtlsRecord& record);

 private:
  using CipherContext = std::unique_ptr<EVP_CIPHER_CTX, Deleter<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>>;
  struct Suite;
  static constexpr std::size_t kNonceBytes = 12;
  static constexpr std::size_t kTagBytes = 16;
  using Nonce = std::array<std::uint8_t, kNonceBytes>;

  DtlsRecords() = default;
  [[nodiscard]] Nonce nonceFor(const Nonce& fixed, std::span<const std::uint8_t> epochAndSequence) const;

  CipherContext sealing_;
  CipherContext opening_;
  Nonce sealingIv_{};  // the salt of GCM (4 bytes), the whole nonce of ChaCha20
  Nonce openingIv_{};
  std::size_t explicitNonceBytes_ = 0;  // 8 with GCM (RFC 5288 3), 0 with ChaCha20 (RFC 7905 2)
  std::uint64_t nextSequence_ = 0;
  ReplayWindow window_;
};

}  // namespace imsdc
