#include "frame_socket.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>

namespace imsdc {
namespace {

constexpr std::size_t kReadBytes = 256 * 1024;
constexpr std::size_t kKeptCapacity = 1 << 20;
constexpr std::size_t kLengthBytes = 4;
constexpr std::size_t kHeaderAfterLength = protocol::kFrameHeaderBytes - kLengthBytes;

std::uint32_t readLength(const std::uint8_t* at) {
  return at[0] | std::uint32_t{at[1]} << 8 | std::uint32_t{at[2]} << 16 | std::uint32_t{at[3]} << 24;
}

}  // namespace

FrameSocket::FrameSocket(Loop& loop, UniqueFd descriptor, std::size_t maxLength, OnFrame onFrame, OnEnd onEnd)
    : loop_(loop),
      descriptor_(std::move(descriptor)),
      maxLength_(maxLength),
      onFrame_(std::move(onFrame)),
      onEnd_(std::move(onEnd)) {
  loop_.add(descriptor_.get(), *this);
}

FrameSocket::~FrameSocket() { loop_.remove(descriptor_.get(), *this); }

void FrameSocket::onReadable() {
  static std::vector<std::uint8_t> buffer(kReadBytes);
  const ssize_t length = recv(descriptor_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (length <= 0) {
    onEnd_("the engine closed the socket");
    return;
  }
  in_.insert(in_.end(), buffer.begin(), buffer.begin() + length);
  if (!takeFrames()) onEnd_("the engine sent a malformed frame");
}

bool FrameSocket::takeFrames() {
  std::size_t at = 0;
  while (in_.size() - at >= kLengthBytes) {
    const std::size_t length = readLength(in_.data() + at);
    if (length < kHeaderAfterLength || length > maxLength_) return false;
    if (in_.size() - at - kLengthBytes < length) break;
    protocol::Reader reader({in_.data() + at + kLengthBytes, kHeaderAfterLength});
    protocol::FrameHeader header;
    if (!protocol::decodeHeader(reader, header)) return false;
    onFrame_(header, {in_.data() + at + protocol::kFrameHeaderBytes, length - kHeaderAfterLength});
    at += kLengthBytes + length;
  }
  in_.erase(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(at));
  if (in_.empty() && in_.capacity() > kKeptCapacity) in_.shrink_to_fit();
  return true;
}

void FrameSocket::flush() {
  while (waiting() > 0) {
    const ssize_t sent = ::send(descriptor_.get(), out_.data() + written_, waiting(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0) {
      written_ += static_cast<std::size_t>(sent);
      continue;
    }
    if (sent < 0 && errno == EINTR) continue;
    break;  // full: epoll tells when there is room; closed: reading tells
  }
  if (waiting() == 0) {
    out_.clear();
    written_ = 0;
    if (out_.capacity() > kKeptCapacity) out_.shrink_to_fit();
  } else if (written_ > kKeptCapacity) {
    out_.erase(out_.begin(), out_.begin() + static_cast<std::ptrdiff_t>(written_));
    written_ = 0;
  }
  const bool wants = waiting() > 0;
  if (wants != wantsWrite_) loop_.wantWrite(descriptor_.get(), *this, wants);
  wantsWrite_ = wants;
}

}  // namespace imsdc
