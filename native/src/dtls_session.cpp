#include "dtls_session.h"

#include <openssl/err.h>

#include <sys/time.h>

#include <algorithm>
#include <utility>

#include "dtls_callbacks.h"

namespace imsdc {
namespace {

constexpr std::size_t kMaxEarlyRecords = 8;
constexpr std::size_t kMaxEarlyBytes = 2048;  // of one record
constexpr std::uint8_t kMaxFlightRepeats = 16;

/** The only handshake message that comes again under the final keys: our last flight was lost (RFC 6347 4.2.4). */
bool isFinished(std::span<const std::uint8_t> content) {
  return !content.empty() && content[0] == SSL3_MT_FINISHED;
}

}  // namespace

DtlsSession::DtlsSession(DtlsContext& context, DtlsOwner& owner, DtlsRole role, const FingerprintSet& fingerprints)
    : context_(context), owner_(owner), fingerprints_(fingerprints), role_(role), ssl_(SSL_new(context.get())) {
  SSL_set_app_data(ssl_.get(), this);
  BIO* bio = newDatagramBio(this);
  SSL_set_bio(ssl_.get(), bio, bio);  // takes one reference for both
  DTLS_set_timer_cb(ssl_.get(), nextDtlsTimeoutUs);
  SSL_set_mtu(ssl_.get(), context.mtuBytes);
  SSL_set_max_send_fragment(ssl_.get(), 1536);  // sizes the write buffer: our records are never longer than a datagram
  if (role == DtlsRole::active) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
}

DtlsSession::~DtlsSession() { ERR_clear_error(); }

void DtlsSession::start() { advance(); }

void DtlsSession::startAfterCookie() {
  // OpenSSL counts messages: only after a HelloVerifyRequest of its own does it take a ClientHello with message_seq 1.
  // So it gets a placeholder for the ClientHello that was answered without memory, and its answer to that is dropped.
  SSL_set_options(ssl_.get(), SSL_OP_COOKIE_EXCHANGE);
  const std::vector<std::uint8_t> placeholder = placeholderClientHello();
  muted_ = true;
  incoming_ = placeholder;
  advance();
  muted_ = false;
}

void DtlsSession::receive(std::span<std::uint8_t> datagram) {
  if (ended_) return;
  if (records_ != nullptr) {
    receiveRecords(datagram);
    return;
  }
  incoming_ = keepContent(datagram);
  if (!incoming_.empty()) advance();
}

/**
 * Content that overtakes the peer's last flight is kept as it came, and the rest of the datagram returned: were OpenSSL
 * to open it, the replay window of `records_` would not know its numbers and take it a second time.
 */
std::span<std::uint8_t> DtlsSession::keepContent(std::span<std::uint8_t> datagram) {
  std::span<std::uint8_t> rest = datagram;
  std::uint8_t* end = datagram.data();
  while (const auto record = nextRecord(rest)) {
    if (record->type != RecordType::content) {
      end = std::copy(record->bytes.begin(), record->bytes.end(), end);
    } else if (record->epoch == 1 && early_.size() < kMaxEarlyRecords && record->bytes.size() <= kMaxEarlyBytes) {
      early_.emplace_back(record->bytes.begin(), record->bytes.end());
    }
  }
  end = std::copy(rest.begin(), rest.end(), end);  // not a record: OpenSSL says what it thinks of it
  return datagram.first(static_cast<std::size_t>(end - datagram.data()));
}

void DtlsSession::advance() {
  if (ended_ || connected_) return;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  sendFlight();
  if (result == 1) {
    takeOver();
    return;
  }
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
  if (certificateRefused_) {
    end(DtlsEnd::fingerprintMismatch, "the certificate of the peer matches no fingerprint");
  } else {
    const std::string detail = takeOpensslErrors();
    end(DtlsEnd::failed, detail.empty() ? "DTLS handshake failed" : detail);
  }
}

void DtlsSession::takeOver() {
  // RFC 7627: without it the keys are not bound to this handshake's certificates.
  if (SSL_get_extms_support(ssl_.get()) != 1) {
    end(DtlsEnd::failed, "the peer does not support the extended master secret");
    return;
  }
  records_ = DtlsRecords::take(ssl_.get(), role_ == DtlsRole::active, sentInEpoch1_);
  if (records_ == nullptr) {
    end(DtlsEnd::failed, "no keys for the negotiated cipher suite");
    return;
  }
  // The active side is done when it has the peer's last flight; the passive side's own last flight may be lost.
  if (role_ == DtlsRole::active) lastFlight_ = {};
  connected_ = true;
  ssl_.reset();
  owner_.dtlsConnected();
  playEarly();
}

void DtlsSession::playEarly() {
  for (std::vector<std::uint8_t>& record : std::exchange(early_, {})) receiveRecords(record);
}

void DtlsSession::receiveRecords(std::span<std::uint8_t> datagram) {
  bool lateHandshake = false;
  while (!ended_) {
    const std::optional<DtlsRecord> record = nextRecord(datagram);
    if (!record) break;
    if (record->epoch == 0) {
      lateHandshake = lateHandshake || record->type == RecordType::handshake;
      continue;
    }
    const auto content = records_->open(*record);
    if (!content) continue;
    switch (record->type) {
      case RecordType::content:
        lastFlight_ = {};  // the peer has it, or it could not have sent this
        owner_.dtlsContent(*content);
        break;
      case RecordType::alert:
        receiveAlert(*content);
        break;
      case RecordType::handshake:
        // From a peer whose last flight was late: again, and under a new number. Some peers take any alert for the end.
        if (isFinished(*content)) {
          lateHandshake = true;
        } else {
          refuseRenegotiation();
        }
        break;
      case RecordType::changeCipherSpec:
        break;
    }
  }
  if (lateHandshake) receiveLateHandshake();
}

/** ue-side.md 9: fatal. Whoever is behind another handshake, its certificate was checked for the first one only. */
void DtlsSession::refuseRenegotiation() {
  constexpr std::uint8_t kFatal = 2;
  sendAlert(kFatal, SSL_AD_HANDSHAKE_FAILURE);
  end(DtlsEnd::failed, "the peer wants to renegotiate");
}

void DtlsSession::receiveLateHandshake() {
  if (flightRepeats_ == kMaxFlightRepeats) return;  // a spoofed record of epoch 0 can ask for this
  if (!lastFlight_.empty()) ++flightRepeats_;
  for (const std::vector<std::uint8_t>& datagram : lastFlight_) owner_.dtlsOutput(datagram);
}

void DtlsSession::receiveAlert(std::span<const std::uint8_t> alert) {
  if (alert.size() != 2) return;
  constexpr std::uint8_t kFatal = 2;
  if (alert[1] == SSL_AD_CLOSE_NOTIFY) {
    end(DtlsEnd::closedByPeer, "close_notify");
  } else if (alert[0] == kFatal) {
    end(DtlsEnd::failed, std::string("alert ") + SSL_alert_desc_string_long(alert[1]));
  }
}

void DtlsSession::sendAlert(std::uint8_t level, std::uint8_t description) {
  const std::array<std::uint8_t, 2> alert{level, description};
  std::array<std::uint8_t, 2 + DtlsRecords::kMaxOverheadBytes> record{};
  const std::size_t size = records_->seal(RecordType::alert, alert, record);
  if (size > 0) owner_.dtlsOutput(std::span(record).first(size));
}

bool DtlsSession::send(std::span<const std::uint8_t> packet) {
  if (records_ == nullptr || ended_ || packet.empty()) return false;
  static std::array<std::uint8_t, 2048> record;  // the owner copies
  const std::size_t size = records_->seal(RecordType::content, packet, record);
  if (size == 0) return false;
  owner_.dtlsOutput(std::span(record).first(size));
  return true;
}

/**
 * OpenSSL writes each handshake message by itself; as many as fit go into one datagram (RFC 6347 4.2.3). Counts what is
 * sent under the final keys too: sequence numbers must never come twice.
 */
void DtlsSession::gather(std::span<const std::uint8_t> records) {
  if (flight_.empty() || flight_.back().size() + records.size() > context_.mtuBytes) flight_.emplace_back();
  std::vector<std::uint8_t>& datagram = flight_.back();
  const std::size_t start = datagram.size();
  datagram.insert(datagram.end(), records.begin(), records.end());
  std::span<std::uint8_t> rest = std::span(datagram).subspan(start);
  while (const auto record = nextRecord(rest)) {
    if (record->epoch == 1) sentInEpoch1_ = std::max(sentInEpoch1_, record->sequence + 1);
  }
}

void DtlsSession::sendFlight() {
  if (flight_.empty()) return;
  for (const std::vector<std::uint8_t>& datagram : flight_) owner_.dtlsOutput(datagram);
  lastFlight_ = std::move(flight_);
  flight_.clear();
}

std::optional<std::uint32_t> DtlsSession::timeoutMs() const {
  timeval left{};
  if (ended_ || ssl_ == nullptr || DTLSv1_get_timeout(ssl_.get(), &left) != 1) return std::nullopt;
  return static_cast<std::uint32_t>(left.tv_sec * 1000 + (left.tv_usec + 999) / 1000);
}

void DtlsSession::onTimeout() {
  if (ended_ || ssl_ == nullptr) return;
  ERR_clear_error();
  // OpenSSL gives up after twelve retransmissions; how long a handshake may take is the owner's decision.
  const long result = DTLSv1_handle_timeout(ssl_.get());
  sendFlight();
  if (result < 0) end(DtlsEnd::failed, "no answer to the DTLS handshake");
}

void DtlsSession::close() {
  if (ended_ || records_ == nullptr) return;
  sendAlert(1, SSL_AD_CLOSE_NOTIFY);
  ended_ = true;
}

void DtlsSession::end(DtlsEnd reason, const std::string& detail) {
  ended_ = true;
  connected_ = false;
  owner_.dtlsEnded(reason, detail);
}

}  // namespace imsdc
