/*
 * admin_doc.h: what the documents of administration's calls say in the same words.
 */
#ifndef WEIR_ADMIN_DOC_H
#define WEIR_ADMIN_DOC_H

#define IF_MATCH {{"If-Match?", "string", "The ETag of the version that is to be changed."}}
#define CHANGED_SINCE {412, "", "It was changed since."}
#define NOT_VALID {422, "", "A member is missing, unknown, or has no valid value."}
#define STORE_FAILED {500, "", "The store failed."}

#endif
