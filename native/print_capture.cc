// SPDX-License-Identifier: Apache-2.0
#include "print_capture.h"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <mutex>
#include <vector>

namespace mapwire {

namespace {

thread_local PrintCapture* current = nullptr;

int Print(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (current == nullptr || (level == LIBBPF_DEBUG && !current->verbose())) return 0;
  va_list again;
  va_copy(again, arguments);
  int length = vsnprintf(nullptr, 0, format, arguments);
  if (length > 0) {
    std::vector<char> text(static_cast<size_t>(length) + 1);
    vsnprintf(text.data(), text.size(), format, again);
    current->Append(text.data(), static_cast<size_t>(length));
  }
  va_end(again);
  return length;
}

}  // namespace

PrintCapture::PrintCapture(bool verbose) : verbose_(verbose), outer_(current) {
  current = this;
}

PrintCapture::~PrintCapture() {
  current = outer_;
}

void PrintCapture::Install() {
  static std::once_flag once;
  std::call_once(once, [] { libbpf_set_print(Print); });
}

}  // namespace mapwire
