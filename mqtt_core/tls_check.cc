// SPDX-License-Identifier: GPL-3.0-or-later

#include "mqtt_core/tls_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace kamailio_mqtt {
namespace {

template <auto kFree>
struct FreeWith {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};

void FreeInfos(STACK_OF(X509_INFO) * infos) {
  sk_X509_INFO_pop_free(infos, X509_INFO_free);
}

using Bio = std::unique_ptr<BIO, FreeWith<BIO_free>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using Context = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;
using Directory = std::unique_ptr<DIR, FreeWith<closedir>>;
using Infos = std::unique_ptr<STACK_OF(X509_INFO), FreeWith<FreeInfos>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

// What OpenSSL reports on this thread during the lifetime of the object.
class OpenSslErrors {
 public:
  OpenSslErrors() { ERR_clear_error(); }
  ~OpenSslErrors() { ERR_clear_error(); }
  OpenSslErrors(const OpenSslErrors&) = delete;
  OpenSslErrors& operator=(const OpenSslErrors&) = delete;

  // The text of the first error, which is the nearest to the cause.
  std::string Reason() const {
    const char* reason = ERR_reason_error_string(ERR_peek_error());
    return reason == nullptr ? "OpenSSL gives no reason" : reason;
  }

  // Whether OpenSSL stopped because there is nothing of the kind in the file,
  // or nothing more.
  bool NothingFound() const {
    return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  }
};

absl::Status Problem(absl::string_view text) {
  return absl::InvalidArgumentError(text);
}

// `content` must outlive the result.
Bio ReaderOf(const std::string& content) {
  return Bio(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
}

// Stands for the person whom OpenSSL would ask for a passphrase at the
// terminal. `asked` is a bool.
int RefusePassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// The certificate that is next in `reader`; null if there is none any more.
absl::StatusOr<Certificate> ReadCertificate(BIO* reader) {
  const OpenSslErrors errors;
  bool asked = false;
  Certificate certificate(
      PEM_read_bio_X509_AUX(reader, nullptr, RefusePassphrase, &asked));
  if (certificate == nullptr && !errors.NothingFound()) {
    return Problem(
        absl::StrCat("holds a malformed certificate: ", errors.Reason()));
  }
  return certificate;
}

absl::StatusOr<Certificate> ReadFirstCertificate(BIO* reader) {
  absl::StatusOr<Certificate> certificate = ReadCertificate(reader);
  if (certificate.ok() && *certificate == nullptr) {
    return Problem("holds no PEM certificate");
  }
  return certificate;
}

absl::StatusOr<Certificate> LoadCertificate(const std::string& path) {
  const absl::StatusOr<std::string> content = ReadPemFile(path);
  if (!content.ok()) return content.status();
  return ReadFirstCertificate(ReaderOf(*content).get());
}

// Why OpenSSL found no private key in `content`; its decoder says no more than
// "unsupported".
absl::Status ExplainUnreadableKey(const std::string& content) {
  const OpenSslErrors errors;
  bool asked = false;
  unsigned char* data = nullptr;
  long size = 0;  // NOLINT(runtime/int): OpenSSL's type
  if (PEM_bytes_read_bio(&data, &size, nullptr, PEM_STRING_EVP_PKEY,
                         ReaderOf(content).get(), RefusePassphrase,
                         &asked) == 1) {
    OPENSSL_free(data);
    return Problem("holds a private key that OpenSSL cannot read");
  }
  if (errors.NothingFound()) return Problem("holds no PEM private key");
  return Problem(
      absl::StrCat("holds a malformed private key: ", errors.Reason()));
}

absl::StatusOr<PrivateKey> LoadPrivateKey(const std::string& path) {
  const absl::StatusOr<std::string> content = ReadPemFile(path);
  if (!content.ok()) return content.status();
  const OpenSslErrors errors;
  bool asked = false;
  PrivateKey key(PEM_read_bio_PrivateKey(ReaderOf(*content).get(), nullptr,
                                         RefusePassphrase, &asked));
  if (asked) {
    return Problem(
        "is encrypted with a passphrase, which nobody can type when Kamailio "
        "starts: remove it with \"openssl pkey\"");
  }
  if (key == nullptr) return ExplainUnreadableKey(*content);
  return key;
}

// Whether `name` is that of a certificate in a directory of CAs: the eight
// hexadecimal digits of its subject's hash, a dot and a number.
bool IsHashName(absl::string_view name) {
  constexpr size_t kDot = 8;
  return name.find_first_not_of("0123456789abcdef") == kDot &&
         name[kDot] == '.' && name.size() > kDot + 1 &&
         name.find_first_not_of("0123456789", kDot + 1) ==
             absl::string_view::npos;
}

absl::StatusOr<Context> NewContext() {
  const OpenSslErrors errors;
  Context context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) {
    return Problem(absl::StrCat("cannot be checked: ", errors.Reason()));
  }
  return context;
}

}  // namespace

absl::StatusOr<std::string> ReadPemFile(const std::string& path) {
  // O_NONBLOCK is for a FIFO that nobody writes to.
  const int fd =
      open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, "cannot be opened");
  const absl::Cleanup closer = [fd] { close(fd); };
  struct stat status;
  if (fstat(fd, &status) != 0) {
    return absl::ErrnoToStatus(errno, "cannot be read");
  }
  if (!S_ISREG(status.st_mode)) return Problem("is not a regular file");

  // One byte more than is allowed, to notice it.
  std::string content(std::min<size_t>(status.st_size, kMaxPemFileBytes + 1),
                      '\0');
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = read(fd, &content[size], content.size() - size);
    if (count < 0) return absl::ErrnoToStatus(errno, "cannot be read");
    if (count == 0) break;
    size += count;
  }
  content.resize(size);
  if (content.empty()) return Problem("is empty");
  if (content.size() > kMaxPemFileBytes) {
    return Problem(absl::StrCat("is larger than ", kMaxPemFileBytes, " bytes"));
  }
  return content;
}

absl::Status CheckCaFile(const std::string& path) {
  const absl::StatusOr<std::string> content = ReadPemFile(path);
  if (!content.ok()) return content.status();
  const OpenSslErrors errors;
  bool asked = false;
  // As SSL_CTX_load_verify_file() does: one bad entry spoils the file.
  const Infos infos(PEM_X509_INFO_read_bio(ReaderOf(*content).get(), nullptr,
                                           RefusePassphrase, &asked));
  if (infos == nullptr) {
    return Problem(absl::StrCat("is malformed: ", errors.Reason()));
  }
  for (int i = 0; i < sk_X509_INFO_num(infos.get()); ++i) {
    if (sk_X509_INFO_value(infos.get(), i)->x509 != nullptr) {
      return absl::OkStatus();
    }
  }
  return Problem("holds no PEM certificate");
}

absl::Status CheckCaDirectory(const std::string& path, bool verifies) {
  const Directory directory(opendir(path.c_str()));
  if (directory == nullptr) {
    return absl::ErrnoToStatus(errno, "cannot be opened as a directory");
  }
  if (!verifies) return absl::OkStatus();
  while (const dirent* entry = readdir(directory.get())) {
    struct stat status;
    if (IsHashName(entry->d_name) &&
        fstatat(dirfd(directory.get()), entry->d_name, &status, 0) == 0 &&
        S_ISREG(status.st_mode)) {
      return absl::OkStatus();
    }
  }
  return Problem(
      "holds no certificate under its hash, so no broker could be verified: "
      "run \"openssl rehash\" on the directory");
}

absl::Status CheckCipherList(const std::string& cipher_list) {
  const absl::StatusOr<Context> context = NewContext();
  if (!context.ok()) return context.status();
  const OpenSslErrors errors;
  if (SSL_CTX_set_cipher_list(context->get(), cipher_list.c_str()) != 1) {
    return Problem(absl::StrCat("is not a cipher list for TLS 1.2 or older: ",
                                errors.Reason()));
  }
  return absl::OkStatus();
}

absl::Status CheckCertificate(const std::string& path,
                              const std::string& cipher_list) {
  const absl::StatusOr<std::string> content = ReadPemFile(path);
  if (!content.ok()) return content.status();
  const Bio reader = ReaderOf(*content);
  absl::StatusOr<Certificate> certificate = ReadFirstCertificate(reader.get());
  if (!certificate.ok()) return certificate.status();

  const absl::StatusOr<Context> context = NewContext();
  if (!context.ok()) return context.status();
  if (!cipher_list.empty()) {
    // Whether it is right is not the question here.
    SSL_CTX_set_cipher_list(context->get(), cipher_list.c_str());
  }
  const OpenSslErrors errors;
  int accepted = SSL_CTX_use_certificate(context->get(), certificate->get());
  while (accepted == 1) {
    certificate = ReadCertificate(reader.get());
    if (!certificate.ok()) return certificate.status();
    if (*certificate == nullptr) return absl::OkStatus();
    accepted = SSL_CTX_add1_chain_cert(context->get(), certificate->get());
  }
  return Problem(absl::StrCat("cannot be used for TLS: ", errors.Reason()));
}

absl::Status CheckPrivateKey(const std::string& path) {
  return LoadPrivateKey(path).status();
}

absl::Status CheckKeyFitsCertificate(const std::string& private_key_path,
                                     const std::string& certificate_path) {
  const absl::StatusOr<PrivateKey> key = LoadPrivateKey(private_key_path);
  if (!key.ok()) return key.status();
  const absl::StatusOr<Certificate> certificate =
      LoadCertificate(certificate_path);
  if (!certificate.ok()) return certificate.status();
  const OpenSslErrors errors;
  if (X509_check_private_key(certificate->get(), key->get()) != 1) {
    return Problem(
        absl::StrCat("does not fit the certificate: ", errors.Reason()));
  }
  return absl::OkStatus();
}

}  // namespace kamailio_mqtt
