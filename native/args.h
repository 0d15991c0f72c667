// SPDX-License-Identifier: Apache-2.0
// Arguments from JavaScript. The TypeScript layer checks first and says it better; these are the last line
// and throw TypeError or RangeError.
#pragma once

#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

#include "context.h"

namespace mapwire {

// A view of a Uint8Array. data is nullptr for null, undefined and empty arrays.
struct Bytes {
  uint8_t* data = nullptr;
  size_t size = 0;
};

Bytes BytesArg(const Napi::Value& value, const char* name);
Bytes BytesArgOfSize(const Napi::Value& value, const char* name, size_t size);
uint32_t U32Arg(const Napi::Value& value, const char* name);
uint64_t U64Arg(const Napi::Value& value, const char* name);
std::string StringArg(const Napi::Value& value, const char* name);

// Members of an options object; the fallback stands for undefined.
uint32_t U32Member(const Napi::Object& object, const char* name, uint32_t fallback);
uint64_t U64Member(const Napi::Object& object, const char* name, uint64_t fallback);
Bytes BytesMember(const Napi::Object& object, const char* name);
// -1 for undefined; else a descriptor of that kind.
int FdMember(const Napi::Object& object, const char* name, FdKind kind);

// A vector becomes an ArrayBuffer without a copy.
Napi::Uint8Array ToArray(Napi::Env env, std::vector<uint8_t>&& bytes);

int FdArg(const Napi::CallbackInfo& info, size_t index, FdKind kind);
int AnyFdArg(const Napi::CallbackInfo& info, size_t index);

struct MapArg {
  int fd;
  MapShape shape;
};
MapArg MapArgument(const Napi::CallbackInfo& info, size_t index);

}  // namespace mapwire
