// SPDX-License-Identifier: Apache-2.0
#include "args.h"

#include <cmath>
#include <utility>

namespace mapwire {

namespace {

[[noreturn]] void ThrowType(Napi::Env env, const char* name, const char* wanted) {
  throw Napi::TypeError::New(env, std::string(name) + ": " + wanted + " expected");
}

}  // namespace

Bytes BytesArg(const Napi::Value& value, const char* name) {
  if (value.IsUndefined() || value.IsNull()) return {};
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    ThrowType(value.Env(), name, "Uint8Array");
  auto array = value.As<Napi::Uint8Array>();
  if (array.ByteLength() == 0) return {};
  return {array.Data(), array.ByteLength()};
}

Bytes BytesArgOfSize(const Napi::Value& value, const char* name, size_t size) {
  Bytes bytes = BytesArg(value, name);
  if (bytes.size != size) {
    throw Napi::RangeError::New(value.Env(), std::string(name) + ": " + std::to_string(bytes.size) +
                                                 " bytes, " + std::to_string(size) + " expected");
  }
  return bytes;
}

uint32_t U32Arg(const Napi::Value& value, const char* name) {
  if (!value.IsNumber()) ThrowType(value.Env(), name, "number");
  double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= 4294967295.0) || number != std::floor(number))
    throw Napi::RangeError::New(value.Env(), std::string(name) + ": not an unsigned 32-bit integer");
  return static_cast<uint32_t>(number);
}

uint64_t U64Arg(const Napi::Value& value, const char* name) {
  if (value.IsNumber()) return U32Arg(value, name);
  if (!value.IsBigInt()) ThrowType(value.Env(), name, "bigint");
  bool lossless = false;
  uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) throw Napi::RangeError::New(value.Env(), std::string(name) + ": not an unsigned 64-bit integer");
  return number;
}

std::string StringArg(const Napi::Value& value, const char* name) {
  if (!value.IsString()) ThrowType(value.Env(), name, "string");
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos)
    throw Napi::RangeError::New(value.Env(), std::string(name) + ": holds a NUL byte");
  return text;
}

uint32_t U32Member(const Napi::Object& object, const char* name, uint32_t fallback) {
  Napi::Value value = object.Get(name);
  return value.IsUndefined() ? fallback : U32Arg(value, name);
}

uint64_t U64Member(const Napi::Object& object, const char* name, uint64_t fallback) {
  Napi::Value value = object.Get(name);
  return value.IsUndefined() ? fallback : U64Arg(value, name);
}

Bytes BytesMember(const Napi::Object& object, const char* name) {
  return BytesArg(object.Get(name), name);
}

int FdMember(const Napi::Object& object, const char* name, FdKind kind) {
  Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return -1;
  int fd = static_cast<int>(U32Arg(value, name));
  if (!Context::Of(object.Env()).fds.Holds(fd, kind))
    ThrowType(object.Env(), name, "an open descriptor of the right kind");
  return fd;
}

int FdArg(const Napi::CallbackInfo& info, size_t index, FdKind kind) {
  int fd = static_cast<int>(U32Arg(info[index], "fd"));
  if (!Context::Of(info.Env()).fds.Holds(fd, kind))
    ThrowType(info.Env(), "fd", "an open descriptor of the right kind");
  return fd;
}

int AnyFdArg(const Napi::CallbackInfo& info, size_t index) {
  int fd = static_cast<int>(U32Arg(info[index], "fd"));
  if (!Context::Of(info.Env()).fds.Holds(fd)) ThrowType(info.Env(), "fd", "an open descriptor");
  return fd;
}

MapArg MapArgument(const Napi::CallbackInfo& info, size_t index) {
  int fd = static_cast<int>(U32Arg(info[index], "fd"));
  const MapShape* shape = Context::Of(info.Env()).fds.Map(fd);
  if (shape == nullptr) ThrowType(info.Env(), "fd", "the descriptor of an open map");
  return {fd, *shape};
}

Napi::Uint8Array ToArray(Napi::Env env, std::vector<uint8_t>&& bytes) {
  if (bytes.empty()) return Napi::Uint8Array::New(env, 0);
  auto* kept = new std::vector<uint8_t>(std::move(bytes));
  auto buffer = Napi::ArrayBuffer::New(
      env, kept->data(), kept->size(), [](Napi::Env, void*, std::vector<uint8_t>* data) { delete data; }, kept);
  return Napi::Uint8Array::New(env, kept->size(), buffer, 0);
}

}  // namespace mapwire
