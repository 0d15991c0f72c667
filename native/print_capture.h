// SPDX-License-Identifier: Apache-2.0
// Keeps libbpf's words for whoever asked, and off stderr.
#pragma once

#include <string>

namespace mapwire {

// While one lives, what libbpf prints on this thread goes into it; without one it is discarded.
class PrintCapture {
 public:
  explicit PrintCapture(bool verbose = false);
  ~PrintCapture();
  PrintCapture(const PrintCapture&) = delete;
  PrintCapture& operator=(const PrintCapture&) = delete;

  const std::string& text() const { return text_; }
  bool verbose() const { return verbose_; }
  void Append(const char* data, size_t size) { text_.append(data, size); }

  // Once per process, before libbpf is used.
  static void Install();

 private:
  std::string text_;
  bool verbose_;
  PrintCapture* outer_;
};

}  // namespace mapwire
