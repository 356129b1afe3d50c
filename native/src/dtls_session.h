#pragma once

#include <openssl/ssl.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dtls_context.h"
#include "dtls_records.h"
#include "fingerprint.h"

namespace imsdc {

enum class DtlsRole : std::uint8_t { active, passive };
enum class DtlsEnd : std::uint8_t { closedByPeer, fingerprintMismatch, failed };

/** Calls come from inside `start`, `receive`, `send` and `onTimeout`. The session may not be destroyed in them. */
class DtlsOwner {
 public:
  virtual void dtlsOutput(std::span<const std::uint8_t> datagram) = 0;
  /** The handshake is complete and the certificate matched. */
  virtual void dtlsConnected() = 0;
  /** Authenticated content of one record; may be overwritten in place. */
  virtual void dtlsContent(std::span<std::uint8_t> packet) = 0;
  virtual void dtlsEnded(DtlsEnd end, const std::string& detail) = 0;

 protected:
  ~DtlsOwner() = default;
};

/**
 * One DTLS 1.2 connection (RFC 6347): certificates on both sides, checked against the SDP's fingerprints. The handshake
 * is OpenSSL's; once it is complete its SSL object goes and DtlsRecords protects what follows.
 */
class DtlsSession {
 public:
  DtlsSession(DtlsContext& context, DtlsOwner& owner, DtlsRole role, const FingerprintSet& fingerprints);
  ~DtlsSession();
  DtlsSession(const DtlsSession&) = delete;
  DtlsSession& operator=(const DtlsSession&) = delete;

  /** Active: sends ClientHello. */
  void start();
  /** Passive: the next ClientHello has answered a HelloVerifyRequest that nobody remembers. Call it instead of start. */
  void startAfterCookie();
  /** May overwrite the datagram. */
  void receive(std::span<std::uint8_t> datagram);
  /** One record; false before the handshake is complete and after the end. */
  bool send(std::span<const std::uint8_t> packet);
  /** Milliseconds until `onTimeout` is due; nothing while no flight waits for an answer. */
  [[nodiscard]] std::optional<std::uint32_t> timeoutMs() const;
  void onTimeout();
  /** Sends close_notify. */
  void close();
  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] bool ended() const { return ended_; }

 private:
  friend struct DtlsCallbacks;
  void advance();
  void takeOver();
  std::span<std::uint8_t> keepContent(std::span<std::uint8_t> datagram);
  void playEarly();
  void receiveRecords(std::span<std::uint8_t> datagram);
  void receiveAlert(std::span<const std::uint8_t> alert);
  void receiveLateHandshake();
  void refuseRenegotiation();
  void sendAlert(std::uint8_t level, std::uint8_t description);
  void gather(std::span<const std::uint8_t> records);
  void sendFlight();
  void end(DtlsEnd reason, const std::string& detail);

  DtlsContext& context_;
  DtlsOwner& owner_;
  const FingerprintSet& fingerprints_;
  DtlsRole role_;
  std::unique_ptr<SSL, Deleter<SSL, SSL_free>> ssl_;  // until the handshake is complete
  std::unique_ptr<DtlsRecords> records_;              // from then on
  std::span<const std::uint8_t> incoming_;
  std::size_t retransmissions_ = 0;
  std::uint64_t sentInEpoch1_ = 0;
  std::vector<std::vector<std::uint8_t>> early_;       // content that came before the keys
  std::vector<std::vector<std::uint8_t>> flight_;      // being written by OpenSSL
  std::vector<std::vector<std::uint8_t>> lastFlight_;  // sent again when the peer repeats its own
  std::uint8_t flightRepeats_ = 0;
  bool muted_ = false;
  bool connected_ = false;
  bool ended_ = false;
  bool certificateRefused_ = false;
};

}  // namespace imsdc
